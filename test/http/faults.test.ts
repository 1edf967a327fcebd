import { Writable } from 'node:stream';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { buildApp } from '../../src/http/app.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { KEYS, testApi } from './api.ts';
import { mint, takeIn, userDocument } from './documents.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';

const lines: string[] = [];
const sink = new Writable({
  write: (chunk: Buffer, _encoding, done) => {
    lines.push(chunk.toString());
    done();
  },
});
const logger = pino({ level: 'trace' }, sink);
const api = testApi({ logger });

function appOver(tenants: HandoffTenants) {
  return buildApp({
    tenants,
    shareTokenKeys: KEYS,
    style: { businessStatusCase: 'title' },
    webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
    logger,
    ...testAppParts(),
    readiness: () => Promise.reject(new Error('no readiness here')),
  });
}

describe('a fault', () => {
  it('of the database is 503', async () => {
    const tenants = createTenants({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none' });
    const app = appOver(handoffTenants(tenants, testSealer, testBlindIndex));
    const answer = await app.inject({ url: '/v1/onboardings/', headers: { 'x-api-key': api.issuer.key } });
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'service_unavailable' });
    await app.close();
    await tenants.close();
  });

  it('of ours is 500, with nothing but a request id', async () => {
    lines.splice(0);
    const broken: HandoffTenants = {
      sealer: testSealer,
      withTenant: () => Promise.reject(new Error('boom at line 7')),
      acrossTenants: (crossing, work) =>
        handoffTenants(api.tenants, testSealer, testBlindIndex).acrossTenants(crossing, work),
    };
    const app = appOver(broken);
    const answer = await app.inject({
      url: '/v1/onboardings/',
      headers: { 'x-api-key': api.issuer.key, 'x-request-id': 'find-me' },
    });
    expect(answer.statusCode).toBe(500);
    expect(answer.json()).toEqual({
      detail: 'The request could not be completed. Quote the X-Request-Id to support.',
      code: 'internal_error',
    });
    expect(lines.join('')).toContain('boom at line 7');
    expect(lines.find((line) => line.includes('boom'))).toContain('"request_id":"find-me"');
    expect((await app.inject({ url: '/readyz' })).statusCode).toBe(500);
    await app.close();
  });
});

describe('the log', () => {
  it('has a line for each request and no key, token, name, id of a person, query or header in it', async () => {
    lines.splice(0);
    const sessionId = await takeIn(
      api,
      api.issuer,
      userDocument({ vendor_data: 'canary-vendor', id_verifications: [{ first_name: 'Canary-Name' }] }),
    );
    const token = await mint(api, api.issuer, sessionId, api.partner);
    await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
      share_token: token,
      vendor_data: 'canary-own',
    });
    await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: `${token}x` });
    await api.call(api.issuer, 'GET', `/v3/session/${sessionId}/decision/?secret=canary-query`, undefined, {
      'user-agent': 'canary-agent',
      authorization: 'Bearer canary-header',
    });
    await api.call(api.issuer, 'POST', '/v1/sessions/', userDocument({ created_at: 'canary-time' }));
    await api.call(api.issuer, 'GET', '/canary-path/');
    await api.call(api.issuer, 'POST', '/v1/sessions/', '{"canary-json', { 'content-type': 'application/json' });
    const text = lines.join('');
    expect(lines.filter((line) => line.includes('"msg":"answered"'))).toHaveLength(8);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      method: 'POST',
      route: '/v1/sessions/',
      status: 201,
      application_id: api.issuer.id,
      request_id: expect.any(String),
      duration_ms: expect.any(Number),
    });
    for (const secret of [token, token.split('.')[2] ?? '', api.issuer.key, api.partner.key, 'anary', sessionId]) {
      expect(text).not.toContain(secret);
    }
  });

  it('holds what the database said of a fault, without the values it quotes', async () => {
    lines.splice(0);
    const failing: HandoffTenants = {
      sealer: testSealer,
      withTenant: (id, _work, crossing) =>
        handoffTenants(api.tenants, testSealer, testBlindIndex).withTenant(
          id,
          async (_tx, sql) => {
            await sql.query('select $1::date', ['canary-value']);
            throw new Error('not reached');
          },
          crossing,
        ),
      acrossTenants: (crossing, work) =>
        handoffTenants(api.tenants, testSealer, testBlindIndex).acrossTenants(crossing, work),
    };
    const app = appOver(failing);
    const answer = await app.inject({ url: '/v1/onboardings/', headers: { 'x-api-key': api.issuer.key } });
    expect(answer.statusCode).toBe(500);
    expect(lines.join('')).toContain('22007');
    expect(lines.join('')).not.toContain('canary-value');
    await app.close();
  });
});
