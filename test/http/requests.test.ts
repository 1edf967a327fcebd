import { describe, expect, it } from 'vitest';
import { testApi, type Answer } from './api.ts';

const api = testApi();
const IMPORT = '/v3/session/import-shared/';
const JSON_TYPE = { 'content-type': 'application/json' };

describe('paths', () => {
  it.each([
    ['GET', '/', 'not_found'],
    ['GET', '/v1/', 'not_found'],
    ['GET', '/v3/session/', 'method_not_allowed'],
    ['GET', '/V1/onboardings/', 'not_found'],
    ['GET', '/v1/onboardings/%', 'not_found'],
    ['GET', '/v1/onboardings/%ff/', 'not_found'],
    ['GET', '/__proto__', 'not_found'],
    ['PUT', '/v1/onboardings/', 'method_not_allowed'],
    ['DELETE', IMPORT, 'method_not_allowed'],
    ['OPTIONS', '/v1/sessions/', 'method_not_allowed'],
    ['PATCH', '/healthz', 'method_not_allowed'],
  ] as const)('answers %s %s with 404 in JSON', async (method, url, code) => {
    const answer = await api.call(api.issuer, method, url);
    expect(answer).toMatchObject({ status: 404, body: { code } });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  });

  it('names the methods that a path answers', async () => {
    const answer = await api.call(api.issuer, 'PUT', '/v1/connections/00000000-0000-7000-8000-000000000000/');
    expect(answer.headers['allow']).toBe('GET, PATCH');
    expect(answer.body['detail']).toMatch(/answers GET, PATCH\./);
    expect((await api.call(api.issuer, 'PUT', '/v1/nothing/')).headers['allow']).toBeUndefined();
  });

  it('answers HEAD with 404', async () => {
    expect((await api.app.inject({ method: 'HEAD', url: '/v1/onboardings/' })).statusCode).toBe(404);
  });

  it('answers with and without the slash, and never redirects', async () => {
    for (const url of ['/v1/onboardings', '/v1/onboardings/', '/v1/onboardings?limit=1', '/healthz/', '/healthz']) {
      expect((await api.call(api.issuer, 'GET', url)).status).toBe(200);
    }
  });
});

describe('the request id', () => {
  it('is the caller’s when it is sane, else a new one, on every answer', async () => {
    const idOf = async (given: string | undefined, url = '/v1/onboardings/') => {
      const answer = await api.call(
        api.issuer,
        'GET',
        url,
        undefined,
        given === undefined ? {} : { 'x-request-id': given },
      );
      return answer.headers['x-request-id'];
    };
    expect(await idOf('req-1.a_B')).toBe('req-1.a_B');
    expect(await idOf('req-2', '/nowhere')).toBe('req-2');
    expect(await idOf('req-3', '/v1/onboardings/%ff')).toBe('req-3');
    for (const odd of ['a b', 'x'.repeat(129), '<script>', '']) expect(await idOf(odd)).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idOf(undefined)).not.toBe(await idOf(undefined));
  });
});

describe('bodies', () => {
  const send = (body: string | Buffer, headers: Record<string, string> = JSON_TYPE): Promise<Answer> =>
    api.call(api.partner, 'POST', IMPORT, body, headers);

  it.each([
    ['half a document', '{"share_token": "x"'],
    ['no JSON', 'share_token=x'],
    ['a key __proto__', '{"share_token": "x", "__proto__": {"admin": true}}'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['a number', '7'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a byte order mark', '\ufeff{"share_token": "x"}'],
    ['a comment', '{"share_token": "x"} // none'],
    ['two values', '{"share_token": "x"}{}'],
    ['half a pair in a key', '{"\\ud800": 1}'],
  ])('refuses %s', async (_what, body) => {
    const answer = await send(body);
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.any(String), code: 'invalid_request' } });
  });

  it.each([
    ['a key that stands there twice', '{"share_token": "x", "share_token": "y"}', 'share_token', /twice/],
    ['one that is spelled otherwise', '{"a": {"b": 1, "\\u0062": 2}}', 'a.b', /twice/],
    ['a whole number that would be rounded', '{"a": [12345678901234567890]}', 'a.0', /as a string/],
    ['a number that would be endless', '{"a": -1e400}', 'a', /as a string/],
    ['half a pair', '{"share_token": "\\udfff"}', 'share_token', /surrogate/],
    ['a constructor with a prototype', '{"constructor": {"prototype": {"admin": true}}}', 'constructor', /prototype/],
    ['__proto__ inside', '{"a": {"__proto__": {"admin": true}}}', 'a', /__proto__/],
    ['levels without end', `{"share_token": ${'['.repeat(30_000)}${']'.repeat(30_000)}}`, 'share_token', /128 levels/],
    ['NUL', '{"a": {"b": "\\u0000"}}', 'a.b', /NUL/],
  ])('names the place of %s', async (_what, body, field, sentence) => {
    const answer = await send(body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body[field]).toEqual([expect.stringMatching(sentence)]);
  });

  it.each([
    ['text/plain', { 'content-type': 'text/plain' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['another JSON', { 'content-type': 'application/vnd.api+json' }],
    ['nonsense', { 'content-type': 'json' }],
  ])('refuses %s with 415', async (_what, headers) => {
    expect(await send('{"share_token": "x"}', headers)).toMatchObject({
      status: 415,
      body: { code: 'unsupported_media_type' },
    });
  });

  it('names the limit and the types of the route', async () => {
    expect((await send('x', { 'content-type': 'text/plain' })).body['detail']).toBe(
      'Send the body as application/json.',
    );
    const large = { ...JSON_TYPE, 'content-length': String(65 * 1024) };
    expect(await send('{}', large)).toMatchObject({ status: 413, body: { detail: expect.stringContaining('64 KiB') } });
    const create = await api.call(api.issuer, 'POST', '/v3/session/', '{}', {
      ...JSON_TYPE,
      'content-length': String(5 * 1024 * 1024),
    });
    expect(create).toMatchObject({ status: 413, body: { detail: expect.stringContaining('4 MiB') } });
    const upload = '/v1/sessions/00000000-0000-7000-8000-000000000000/media/?field=id_verifications.0.front_image';
    const wrong = await api.call(api.issuer, 'POST', upload, 'x', { 'content-type': 'text/plain' });
    expect(wrong.body['detail']).toContain('image/png');
  });

  it('takes a missing, an empty and a null body for one without fields', async () => {
    const nothing = { status: 400, body: { share_token: ['This field is required.'], code: 'invalid_request' } };
    expect(await api.call(api.partner, 'POST', IMPORT)).toMatchObject(nothing);
    expect(await send('')).toMatchObject(nothing);
    expect(await send('null')).toMatchObject(nothing);
    expect(await send('{}', { 'content-type': 'application/json; charset=utf-8' })).toMatchObject(nothing);
  });

  it('names at most so many fields, in so many characters', async () => {
    const body = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`${'f'.repeat(300)}${index}`, 1]));
    const answer = await api.call(api.issuer, 'POST', '/v1/connections/', body);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body).length).toBeLessThanOrEqual(21);
    expect(JSON.stringify(answer.body).length).toBeLessThan(5_000);
  });
});
