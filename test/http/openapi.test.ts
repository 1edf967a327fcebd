import { execFile } from 'node:child_process';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { signWebhook } from '../../src/crypto/webhook-signature.ts';
import { EVENT_TYPES } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { failuresOf } from '../../src/http/openapi/failures.ts';
import { openApiText } from '../../src/http/openapi/document.ts';
import { pathParameters, type DocumentedRoute } from '../../src/http/openapi/routes.ts';
import { currentOpenApi, productionRoutes } from '../support/openapi-text.ts';
import { testApi } from './api.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const api = testApi();
let routes: readonly DocumentedRoute[] = [];
let text = '';
beforeAll(async () => {
  [routes, text] = [await productionRoutes(), await currentOpenApi()];
});

const nameOf = ({ method, url }: DocumentedRoute) => `${method} ${url}`;
/** Lines about the routes of which something is not so. */
const told = (about: (route: DocumentedRoute) => readonly string[]) =>
  routes.flatMap((route) => about(route).map((what) => `${nameOf(route)}: ${what}`));

describe('the document', () => {
  it('is committed as the routes are; a change of contract that is meant: npm run openapi:write', async () => {
    expect(await readFile(join(ROOT, 'docs', 'openapi.json'), 'utf8')).toBe(text);
  });

  it('is the same whatever the order of the routes', () => {
    expect(openApiText(routes.toReversed())).toBe(text);
  });

  it('names no server but its own and a variable', () => {
    const { servers } = JSON.parse(text) as { servers: { url: string }[] };
    expect(servers.map(({ url }) => url)).toEqual(['/', '{origin}']);
  });

  it('describes every operation, and every parameter of a query', () => {
    interface Operation {
      readonly operationId: string;
      readonly description?: string;
      readonly parameters: readonly { readonly in?: string; readonly name: string; readonly description?: string }[];
    }
    const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, Operation>> };
    const operations = Object.values(paths).flatMap((item) => Object.values(item));
    expect(operations.length).toBeGreaterThan(20);
    expect(
      operations.flatMap(({ operationId, description, parameters }) => [
        ...(description === undefined ? [operationId] : []),
        ...parameters
          .filter((one) => one.in === 'query' && one.description === undefined)
          .map(({ name }) => `${operationId}: ${name}`),
      ]),
    ).toEqual([]);
  });

  it('passes the linter', async () => {
    const redocly = join(ROOT, 'node_modules', '@redocly', 'cli', 'bin', 'cli.js');
    const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' };
    const linted = await promisify(execFile)(process.execPath, [redocly, 'lint', 'handoff'], { cwd: ROOT, env }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    expect(`${linted.stdout}${linted.stderr}`).toContain('Your API description is valid');
  });
});

describe('the webhooks of the document', () => {
  interface Webhook {
    readonly operationId: string;
    readonly tags: readonly string[];
    readonly summary: string;
    readonly description: string;
    readonly parameters: readonly { readonly $ref: string }[];
    readonly requestBody: { readonly content: Record<string, { schema: { $ref: string }; example: JsonObject }> };
    readonly responses: JsonObject;
  }
  interface Document {
    readonly webhooks: Record<string, { readonly post: Webhook }>;
    readonly components: {
      readonly parameters: Record<string, { readonly name: string; readonly in: string }>;
      readonly schemas: Record<
        string,
        { readonly properties: Record<string, JsonObject>; additionalProperties: false }
      >;
    };
  }
  const read = () => JSON.parse(text) as Document;
  const each = () => Object.entries(read().webhooks).map(([type, { post }]) => ({ type, ...post }));

  it('are all events that are sent, each with an example of its own', () => {
    expect(each().map(({ type }) => type)).toEqual(EVENT_TYPES);
    const { schemas } = read().components;
    for (const { type, tags, requestBody } of each()) {
      const content = requestBody.content['application/json'];
      const schema = schemas[content?.schema.$ref.replace('#/components/schemas/', '') ?? ''];
      expect([type, tags, content?.example['webhook_type']]).toEqual([type, ['Webhooks'], type]);
      expect(schema).toMatchObject({ properties: { webhook_type: { const: type } }, additionalProperties: false });
    }
    expect(schemas['StatusUpdatedEvent']?.properties['decision']).toEqual({ $ref: '#/components/schemas/Decision' });
  });

  it('have names of their own, and say what a receiver needs to know', () => {
    const names = [...each(), ...routes.map(({ contract }) => contract)].map(({ operationId }) => operationId);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    for (const { type, summary, description, responses } of each()) {
      expect(Math.min(summary.length, description.length)).toBeGreaterThan(10);
      const ofRetried = type === 'webhook.ping' ? [] : ['410', '429', '503'];
      expect(Object.keys(responses)).toEqual([...ofRetried, '2XX', 'default']);
    }
  });

  it('come with the headers that every attempt has', () => {
    const signed = signWebhook({
      eventId: '0199a3c4-8888-7aaa-8bbb-0123456789ab',
      webhookType: 'webhook.ping',
      body: '{}',
      timestampSeconds: 1,
      attempt: 1,
      secrets: [Buffer.alloc(32, 1)],
      test: true,
    });
    // Of every request that has a body.
    const { 'content-type': _type, 'user-agent': _agent, ...own } = signed;
    const { parameters } = read().components;
    const headersOf = ({ parameters: listed }: Webhook) =>
      listed.map(({ $ref }) => parameters[$ref.replace('#/components/parameters/', '')]?.name.toLowerCase());
    for (const webhook of each()) {
      const names = Object.keys(own).filter((name) => webhook.type === 'webhook.ping' || !name.includes('test'));
      expect(new Set(headersOf(webhook))).toEqual(new Set(names));
    }
  });
});

describe('a contract', () => {
  it('says for every route that is served what it is', () => {
    const served = new Set(api.app.documentedRoutes.map(nameOf));
    expect(routes.map(nameOf).filter((name) => !served.has(name))).toEqual([]);
    expect(routes.length).toBeGreaterThan(20);
  });

  it('has a name of its own, and a body of which an example is given', () => {
    const names = routes.map(({ contract }) => contract.operationId);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    expect(
      told(({ contract: { operationId, body, bodyType, examples } }) => [
        ...(/^[a-z][A-Za-z]+$/.test(operationId) ? [] : ['its operationId is not in lower camel case']),
        ...(body !== undefined && bodyType === undefined && examples?.body === undefined
          ? ['no example of its body']
          : []),
      ]),
    ).toEqual([]);
  });

  it('has an example of each success that has a body', () => {
    expect(
      told(({ contract: { replies, examples, replyType } }) =>
        Object.entries(replies).flatMap(([status, schema]) => {
          const has = examples?.replies?.[Number(status)] !== undefined;
          return Number(status) < 300 && schema !== null && replyType === undefined && !has ? [`no ${status}`] : [];
        }),
      ),
    ).toEqual([]);
  });

  it('has examples that fit their schemas', () => {
    expect(
      told(({ contract: { body, bodyType, replies, examples } }) => {
        const wrong = bodyType === undefined ? body?.safeParse(examples?.body).error?.message : undefined;
        const answers = Object.entries(examples?.replies ?? {}).flatMap(([status, example]) => {
          const schema = replies[Number(status)];
          const message = schema?.safeParse(example).error?.message;
          return schema === undefined || message !== undefined ? [`${status}: ${message ?? 'no such answer'}`] : [];
        });
        return [...(wrong === undefined ? [] : [`body: ${wrong}`]), ...answers];
      }),
    ).toEqual([]);
  });

  it('has a code for each refusal, and a status for each code', () => {
    expect(
      told((route) =>
        [...failuresOf(route)].flatMap(([status, codes]) => [
          ...(codes.length === 0 ? [`${status} has no code: name it in refusals`] : []),
          ...(route.contract.replies[status] === undefined
            ? [`${codes.join()} answer ${status}: add it to replies`]
            : []),
        ]),
      ),
    ).toEqual([]);
  });

  it('describes the parameters of its own path', () => {
    expect(
      told(({ url, contract: { params } }) =>
        Object.keys(params ?? {}).filter((name) => !pathParameters(url).includes(name)),
      ),
    ).toEqual([]);
  });
});

it('every code that a route refuses with is met by some test', async () => {
  let tests = '';
  for await (const file of glob('test/**/*.test.ts', { cwd: ROOT })) tests += await readFile(join(ROOT, file), 'utf8');
  const codes = new Set(routes.flatMap(({ contract }) => contract.refusals ?? []));
  // A field error over HTTP, which says no code of its own.
  const silent = new Set(['workflow_kind_mismatch', 'workflow_required']);
  expect([...codes].filter((code) => !silent.has(code) && !tests.includes(`'${code}'`))).toEqual([]);
});

describe('GET /v1/openapi.json', () => {
  it('needs no key, and is cached', async () => {
    const answer = await api.call(null, 'GET', '/v1/openapi.json');
    expect(answer.status).toBe(200);
    expect(answer.headers['cache-control']).toBe('public, max-age=300');
    expect(answer.body['paths']).toMatchObject((JSON.parse(text) as JsonObject)['paths'] as JsonObject);
    const again = await api.call(null, 'GET', '/v1/openapi.json', undefined, {
      'if-none-match': String(answer.headers['etag']),
    });
    expect(again).toMatchObject({ status: 304, body: {} });
  });
});

describe('GET /docs/', () => {
  const get = (url: string) => api.app.inject({ method: 'GET', url });

  it('is a page that loads its own files and nothing else', async () => {
    const page = await get('/docs/');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:|unsafe|\*/);
    const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file = '']) => file);
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) {
      const { pathname, host } = new URL(file, 'http://own.example/docs/');
      expect(host).toBe('own.example');
      const answer = await get(pathname);
      expect(answer.statusCode, file).toBe(200);
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
    }
    expect((await get('/docs/static/swagger-initializer.js')).body).toContain('./json');
    expect(await get('/docs')).toMatchObject({ statusCode: 200 });
  });

  it('shows the same document', async () => {
    const shown = await get('/docs/json');
    expect(shown.json()).toEqual((await get('/v1/openapi.json')).json());
    expect((await get('/docs/static/nothing.js')).json()).toMatchObject({ code: 'not_found' });
    expect((await get('/docs/static/..%2f..%2fpackage.json')).statusCode).toBe(404);
  });
});
