import type { InjectOptions } from 'fastify';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildApp, type AppDeps } from '../../src/http/app.ts';
import { errorBody } from '../../src/http/schemas/errors.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { productionRoutes } from '../support/openapi-text.ts';
import { sendRaw } from '../support/raw-http.ts';
import { KEYS, testApi } from './api.ts';

const routes = await productionRoutes();
const api = testApi();
let port: number;
beforeAll(async () => {
  port = Number(new URL(await api.app.listen({ host: '127.0.0.1', port: 0 })).port);
});

type Headers = Readonly<Record<string, unknown>>;

/** What every answer carries, whoever made it. */
const ALWAYS = {
  'content-security-policy': expect.stringMatching(/default-src 'none'(;.*frame-ancestors 'none')?/),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': expect.stringMatching(/^(same|cross)-origin$/),
  'cache-control': expect.stringMatching(/^(no-store|private, max-age=\d+|public, max-age=\d+)$/),
  'x-request-id': expect.stringMatching(/^[\w.-]+$/),
};

/** Words that only the inside of a server says. */
const INSIDE =
  /\n? {2,}at |node_modules|\/src\/|\.[tj]s:\d|\b(select|insert into|update \w+ set)\b|_(pkey|fkey|idx)\b|SQLSTATE|relation "|FST_|ECONN/;

function expectSafe(headers: Headers, body: string, where: string): void {
  expect(headers, where).toMatchObject(ALWAYS);
  expect(
    Object.keys(headers).filter((name) => name.startsWith('access-control-')),
    where,
  ).toEqual([]);
  expect(Object.keys(headers), where).not.toContain('server');
  expect(Object.keys(headers), where).not.toContain('x-powered-by');
  if (!/^[{[]/.test(body)) return;
  expect(body.slice(0, 2_000), where).not.toMatch(INSIDE);
}

const pathOf = (url: string) => url.replace(/:[a-z_]+/g, '00000000-0000-7000-8000-000000000000');
const asBrowser = { origin: 'https://evil.example', 'sec-fetch-mode': 'cors' };

function appWith(more: Partial<AppDeps>) {
  return buildApp({
    ...testAppParts(),
    tenants: handoffTenants(api.tenants, testSealer, testBlindIndex),
    shareTokenKeys: KEYS,
    style: { businessStatusCase: 'upper' },
    webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
    logger: false,
    readiness: async () => ({ database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' }),
    ...more,
  });
}

describe('every answer', () => {
  it.each(routes.map((route) => [`${route.method} ${route.url}`, route] as const))(
    'of %s carries the security headers, and no CORS',
    async (where, { method, url }) => {
      for (const key of [undefined, 'nonsense', api.issuer.key]) {
        const headers = { ...asBrowser, ...(key !== undefined && { 'x-api-key': key }) };
        const answer = await api.app.inject({ method, url: pathOf(url), headers });
        expectSafe(answer.headers, answer.body, where);
        if (answer.statusCode >= 400) expect(() => errorBody.parse(answer.json())).not.toThrow();
      }
    },
  );

  it.each<[string, number, InjectOptions]>([
    ['no path', 404, { url: '/nowhere/' }],
    ['another method', 404, { method: 'PUT', url: '/v1/onboardings/' }],
    [
      'a preflight',
      404,
      { method: 'OPTIONS', url: '/v1/sessions/', headers: { 'access-control-request-method': 'POST' } },
    ],
    ['a path that cannot be read', 404, { url: '/v1/onboardings/%ff/' }],
    ['a parameter without end', 404, { url: `/v1/onboardings/${'a'.repeat(6_000)}/` }],
    [
      'half a document',
      400,
      {
        method: 'POST',
        url: '/auth/v2/programmatic/login/',
        payload: '{',
        headers: { 'content-type': 'application/json' },
      },
    ],
    [
      'a body too large',
      413,
      {
        method: 'POST',
        url: '/auth/v2/programmatic/login/',
        payload: 'x'.repeat(70_000),
        headers: { 'content-type': 'application/json' },
      },
    ],
    [
      'another type',
      415,
      { method: 'POST', url: '/auth/v2/programmatic/login/', payload: '{}', headers: { 'content-type': 'text/plain' } },
    ],
    ['the page', 200, { url: '/docs/' }],
    ['a file of the page', 200, { url: '/docs/static/swagger-ui.css' }],
  ])('to %s is as safe', async (where, status, given) => {
    const answer = await api.app.inject({ ...given, headers: { ...asBrowser, ...given.headers } });
    expect(answer.statusCode).toBe(status);
    expectSafe(answer.headers, answer.body, where);
  });

  it.each<[string, number, string]>([
    ['no HTTP', 400, 'nonsense\r\n\r\n'],
    ['a head without end', 431, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['no host', 400, 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'],
    ['two lengths', 400, 'POST /v1/sessions/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}'],
    [
      'a length and chunks',
      400,
      'POST /v1/sessions/ HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['an unknown expectation', 200, 'GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: magic\r\nconnection: close\r\n\r\n'],
    ['an upgrade', 200, 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\r\n'],
    ['HTTP/2', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('over a socket to %s is as safe', async (where, status, bytes) => {
    const answer = await sendRaw(port, bytes);
    expect(answer.status).toBe(status);
    expectSafe(answer.headers, answer.body, where);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    if (status >= 400) expect(() => errorBody.parse(JSON.parse(answer.body))).not.toThrow();
  });

  it('to a fault tells nothing of it, on every route that can have one', async () => {
    const inside = Object.assign(
      new Error('duplicate key value violates unique constraint "session_pkey" at /srv/src/x.ts:7'),
      {
        severity: 'ERROR',
        code: '23505',
        detail: 'Key (session_id)=(canary) already exists.',
        constraint: 'session_pkey',
      },
    );
    const working = handoffTenants(api.tenants, testSealer, testBlindIndex);
    const tenants: HandoffTenants = {
      sealer: testSealer,
      withTenant: () => Promise.reject(inside),
      acrossTenants: (crossing, work) =>
        crossing === 'authenticate' || crossing === 'rate_limit'
          ? working.acrossTenants(crossing, work)
          : Promise.reject(inside),
    };
    const app = appWith({ tenants });
    let faults = 0;
    for (const { method, url } of routes) {
      const answer = await app.inject({ method, url: pathOf(url), headers: { 'x-api-key': api.issuer.key } });
      expectSafe(answer.headers, answer.body, `${method} ${url}`);
      if (answer.statusCode < 500) continue;
      faults += 1;
      expect(answer.json()).toEqual({
        detail: 'The request could not be completed. Quote the X-Request-Id to support.',
        code: 'internal_error',
      });
    }
    expect(faults).toBeGreaterThan(20);
    await app.close();
  });
});

describe('clients', () => {
  it('are told to stay with https where that is how they come, and only there', async () => {
    const secure = appWith({ publicUrl: 'https://api.example.com' });
    expect((await secure.inject('/healthz')).headers['strict-transport-security']).toBe('max-age=31536000');
    await secure.close();
    expect((await api.app.inject('/healthz')).headers).not.toHaveProperty('strict-transport-security');
  });

  it('keep no answer but what is public, or theirs for as long as its link lives', async () => {
    const cachingOf = async (url: string) => {
      const { statusCode, headers } = await api.app.inject({ url, headers: { 'x-api-key': api.issuer.key } });
      expect(statusCode).toBe(200);
      return headers['cache-control'];
    };
    expect(await cachingOf('/v3/sessions/')).toBe('no-store');
    expect(await cachingOf('/v1/openapi.json')).toBe('public, max-age=300');
  });
});
