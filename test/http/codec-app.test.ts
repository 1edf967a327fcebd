import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCodecServerConfig, readWorkerConfig } from '../../src/config.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { readSsoTokens } from '../../src/crypto/sso-token.ts';
import { createTemporalCodec } from '../../src/crypto/temporal-codec.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import { buildCodecApp } from '../../src/http/codec-app.ts';
import { tellOfDecoding } from '../../src/postgres/codec-events.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { testContentEnv } from '../support/app-parts.ts';
import { testDatabase } from '../support/database.ts';
import { sendRaw } from '../support/raw-http.ts';

const UI = 'https://temporal.example.com';
const ISSUER = 'https://sso.example.com/';
const AUDIENCE = 'handoff-codec';
/** Those of the sign-on who may decode have it. */
const CLAIM = { name: 'groups', value: 'handoff-operators' };
const KEYS = `k1:${randomBytes(32).toString('base64url')}`;
const TOKEN = randomBytes(32).toString('base64url');
const digest = (token: string) => createHash('sha256').update(token).digest();

const database = testDatabase();
const lines: string[] = [];
let sso: Server;
let signing: Record<'RS256' | 'ES256', { privateKey: CryptoKey; publicKey: CryptoKey }>;
let jwksUrl: string;
let auditFails = false;

const codec = createTemporalCodec({ keys: parseKeyRing(KEYS), namespace: 'handoff' });

beforeAll(async () => {
  signing = { RS256: await generateKeyPair('RS256'), ES256: await generateKeyPair('ES256') };
  const keys = await Promise.all(
    Object.entries(signing).map(async ([alg, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid: alg })),
  );
  sso = createServer((_request, response) => void response.end(JSON.stringify({ keys })));
  await new Promise<void>((resolve) => void sso.listen(0, '127.0.0.1', resolve));
  jwksUrl = `http://127.0.0.1:${(sso.address() as AddressInfo).port}/keys`;
});
afterAll(() => void sso.close());

function open(signOn = true) {
  const tenants = createTenants({ databaseUrl: database.url, maxConnections: 2 });
  const app = buildCodecApp({
    codec,
    namespace: 'handoff',
    uiOrigin: UI,
    operators: {
      tokens: new Map([['ada', digest(TOKEN)]]),
      readSsoToken: signOn ? readSsoTokens({ jwksUrl, issuer: ISSUER, audience: AUDIENCE, claim: CLAIM }) : null,
    },
    auditProblem: async () => (auditFails ? 'no database' : null),
    audit: async (decoding) => {
      if (auditFails) throw new Error('no database');
      await tenants.acrossTenants('codec', async (tx) => tellOfDecoding(tx, decoding));
    },
    logger: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
  });
  app.addHook('onClose', () => tenants.close());
  return app;
}
let app: ReturnType<typeof open>;
beforeAll(() => {
  app = open();
});
afterAll(() => app.close());

interface Wire {
  readonly metadata: Record<string, string>;
  readonly data: string;
}

const onWire = ({ metadata, data }: Payload): Wire => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
  ),
  data: Buffer.from(data ?? []).toString('base64'),
});

async function encrypted(value: unknown, keys = KEYS, namespace = 'handoff'): Promise<Wire> {
  const [payload] = await createTemporalCodec({ keys: parseKeyRing(keys), namespace }).encode([
    defaultPayloadConverter.toPayload(value),
  ]);
  return onWire(payload as Payload);
}

/** What the UI and the command line send. */
async function decode(payloads: unknown, headers: Record<string, string | undefined> = {}) {
  const given = { authorization: `Bearer ${TOKEN}`, 'x-namespace': 'handoff', ...headers };
  const sent = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const answer = await app.inject({
    method: 'POST',
    url: '/decode',
    headers: { 'content-type': 'application/json', ...sent } as Record<string, string>,
    payload: JSON.stringify({ payloads }),
  });
  const body = answer.json<{ payloads?: Wire[]; code?: string }>();
  const values = body.payloads?.map(({ data }) => Buffer.from(data, 'base64').toString());
  return { status: answer.statusCode, code: body.code, values, body, headers: answer.headers };
}

async function events() {
  const { rows } = await database.pool.query<Record<string, unknown>>(
    `select type, application_id, actor_kind, actor_id, request_id, reason from event order by created_at, event_id`,
  );
  return rows;
}

describe('every answer', () => {
  test.each<[string, number, string]>([
    ['/%ZZ', 404, 'GET /%ZZ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'],
    ['no HTTP', 400, 'nonsense\r\n\r\n'],
    ['headers beyond all bounds', 431, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(17 * 1024)}\r\n\r\n`],
  ])('to %s is ours, with the security headers', async (_, status, bytes) => {
    const listening = open(false);
    try {
      const { port } = new URL(await listening.listen({ host: '127.0.0.1', port: 0 }));
      const answer = await sendRaw(Number(port), bytes);
      expect(answer).toMatchObject({
        status,
        headers: {
          'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
          'x-content-type-options': 'nosniff',
          'x-request-id': expect.stringMatching(/./),
        },
      });
      expect(Object.keys(JSON.parse(answer.body) as object).toSorted()).toEqual(['code', 'detail']);
    } finally {
      await listening.close();
    }
  });
});

describe('decoding', () => {
  test('gives the payloads back as they were, and stands in the audit trail and the log, by its numbers', async () => {
    const answer = await decode([await encrypted({ tokenId: 'canary' }), await encrypted(null)]);
    expect(answer).toMatchObject({ status: 200, values: ['{"tokenId":"canary"}', 'null'] });
    expect(answer.body.payloads?.[0]?.metadata).toEqual({ encoding: Buffer.from('json/plain').toString('base64') });
    expect((await events()).at(-1)).toEqual({
      type: 'temporal.decoded',
      application_id: PLATFORM_ID,
      actor_kind: 'operator',
      actor_id: 'ada',
      request_id: answer.headers['x-request-id'],
      reason: 'payloads=2 namespace=handoff',
    });
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      security: 'payloads_decoded',
      operator: 'ada',
      payloads: 2,
    });
    expect(lines.join('')).not.toContain('canary');
    expect(lines.join('')).not.toContain(TOKEN);
  });

  test('says of a payload that no run would take why not', async () => {
    const good = await encrypted('x');
    const bytes = Buffer.from(good.data, 'base64');
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    const plain = onWire(defaultPayloadConverter.toPayload('x'));
    const { values } = await decode([
      { ...good, data: bytes.toString('base64') },
      plain,
      await encrypted('x', `k2:${randomBytes(32).toString('base64url')}`),
      await encrypted('x', KEYS, 'elsewhere'),
      {},
      good,
    ]);
    const refused = (reason: string) => JSON.stringify({ refused: reason });
    expect(values).toEqual([
      refused('altered'),
      refused('not_encrypted'),
      refused('unknown_key'),
      refused('other_namespace'),
      refused('not_encrypted'),
      '"x"',
    ]);
  });

  test('is not done while the audit trail cannot be written', async () => {
    auditFails = true;
    expect(await decode([await encrypted('x')])).toMatchObject({ status: 503, code: 'service_unavailable' });
    auditFails = false;
  });

  test.each([[undefined], ['x'], [[1]], [[{ metadata: { encoding: '<>' } }]], [[{ data: 7 }]]])(
    'refuses %j',
    async (payloads) => expect(await decode(payloads)).toMatchObject({ status: 400, code: 'invalid_request' }),
  );

  test('of nothing is nothing, and no event', async () => {
    const before = await events();
    expect(await decode([])).toMatchObject({ status: 200, values: [] });
    expect(await events()).toEqual(before);
  });
});

describe('who may', () => {
  test.each<[string, Record<string, string | undefined>, number]>([
    ['nobody', { authorization: undefined }, 401],
    ['another token', { authorization: `Bearer ${randomBytes(32).toString('base64url')}` }, 401],
    ['the digest itself', { authorization: `Bearer ${digest(TOKEN).toString('hex')}` }, 401],
    ['another scheme', { authorization: `Basic ${TOKEN}` }, 401],
    ['a cookie of nobody', { authorization: undefined, cookie: `handoff_codec=${'a'.repeat(43)}` }, 401],
    ['another namespace', { 'x-namespace': 'default' }, 403],
    ['no namespace', { 'x-namespace': undefined }, 403],
    ['a page of another origin', { origin: 'https://evil.example' }, 403],
    ['a page of no origin', { origin: 'null' }, 403],
    ['the UI itself', { origin: UI }, 200],
  ])('%s', async (_who, headers, status) => {
    const before = await events();
    const answer = await decode([await encrypted('x')], headers);
    expect(answer.status).toBe(status);
    if (status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer');
    if (status !== 200) {
      expect(answer.body.payloads).toBeUndefined();
      expect(await events()).toEqual(before);
    }
  });

  const claims = (more: JWTPayload = {}): JWTPayload => ({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'user-17',
    [CLAIM.name]: CLAIM.value,
    exp: Math.floor(Date.now() / 1000) + 60,
    ...more,
  });
  const signed = (payload: JWTPayload, alg: 'RS256' | 'ES256' = 'RS256', kid: string = alg) =>
    new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(signing[alg].privateKey);

  test.each(['RS256', 'ES256'] as const)('somebody with a token of the single sign-on (%s)', async (alg) => {
    const answer = await decode([await encrypted('x')], { authorization: `Bearer ${await signed(claims(), alg)}` });
    expect(answer).toMatchObject({ status: 200, values: ['"x"'] });
    expect((await events()).at(-1)).toMatchObject({ actor_id: 'sso:user-17', type: 'temporal.decoded' });
  });

  test('nobody with a token that is expired, for others, of others, or signed otherwise', async () => {
    const stranger = await generateKeyPair('RS256');
    const jwk = new TextEncoder().encode(JSON.stringify(await exportJWK(signing.RS256.publicKey)));
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims())).toString('base64url')}.`;
    const { exp: _exp, ...endless } = claims();
    const { sub: _sub, ...nameless } = claims();
    const bad = [
      await signed(claims({ exp: 1_000 })),
      await signed(claims({ nbf: Math.floor(Date.now() / 1000) + 3_600 })),
      await signed(claims({ aud: 'others' })),
      await signed(claims({ iss: 'https://evil.example/' })),
      await signed(endless),
      await signed(nameless),
      await signed(claims({ sub: '' })),
      await signed(claims(), 'RS256', 'unknown'),
      await new SignJWT(claims()).setProtectedHeader({ alg: 'RS256', kid: 'RS256' }).sign(stranger.privateKey),
      await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'RS256' }).sign(jwk),
      unsigned,
      `${(await signed(claims())).slice(0, -4)}AAAA`,
      'a.b.c',
      'x'.repeat(9_000),
    ];
    for (const token of bad) {
      expect((await decode([await encrypted('x')], { authorization: `Bearer ${token}` })).status, token).toBe(401);
    }
  });

  test('those alone of the sign-on whose token has the claim, by itself or among others', async () => {
    for (const [held, status] of [
      [['staff', CLAIM.value], 200],
      [['staff', `${CLAIM.value}-2`], 401],
      [`${CLAIM.value} staff`, 401],
      [{ [CLAIM.value]: true }, 401],
      [true, 401],
      [undefined, 401],
    ] as const) {
      const token = await signed(claims({ [CLAIM.name]: held }));
      const answer = await decode([await encrypted('x')], { authorization: `Bearer ${token}` });
      expect(answer.status, String(held)).toBe(status);
    }
  });

  test('nobody by a sign-on that does not answer: 503, so that it is not taken for a wrong token', async () => {
    const signOn = { jwksUrl: 'http://127.0.0.1:1/keys', issuer: ISSUER, audience: AUDIENCE, claim: CLAIM };
    const deaf = readSsoTokens(signOn);
    await expect(deaf(await signed(claims()))).rejects.toThrow();
    expect(await deaf('a.b.c')).toBeNull();
  });

  test('somebody who signed in by the page, from the UI, until the cookie is another', async () => {
    const form = await app.inject('/sign-in');
    expect(form.headers['content-type']).toContain('text/html');
    expect(form.headers['content-security-policy']).toContain("default-src 'none'");
    const signIn = (token: string, headers = {}) =>
      app.inject({
        method: 'POST',
        url: '/sign-in',
        headers: { 'content-type': 'application/x-www-form-urlencoded', host: 'codec.example.com', ...headers },
        payload: new URLSearchParams({ token }).toString(),
      });
    expect((await signIn('wrong')).statusCode).toBe(401);
    expect((await signIn('wrong')).headers['set-cookie']).toBeUndefined();
    expect((await signIn(TOKEN, { origin: 'https://evil.example' })).statusCode).toBe(403);
    const done = await signIn(TOKEN, { origin: 'https://codec.example.com' });
    expect(done.statusCode).toBe(200);
    expect(String(done.headers['set-cookie'])).toMatch(
      /^handoff_codec=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/decode; Max-Age=28800; Secure$/,
    );
    expect(String(done.headers['set-cookie'])).not.toContain(TOKEN);
    const [cookie = ''] = String(done.headers['set-cookie']).split(';');
    const asUi = { authorization: undefined, origin: UI, cookie: `a=b; ${cookie}` };
    expect(await decode([await encrypted('x')], asUi)).toMatchObject({ status: 200, values: ['"x"'] });
    expect((await events()).at(-1)).toMatchObject({ actor_id: 'ada' });
    const changed = { ...asUi, cookie: cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) };
    expect((await decode([await encrypted('x')], changed)).status).toBe(401);
  });
});

describe('browsers', () => {
  const preflight = (origin: string | undefined) =>
    app.inject({
      method: 'OPTIONS',
      url: '/decode',
      headers: {
        ...(origin !== undefined && { origin }),
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-namespace',
      },
    });

  test('may ask from the UI, with credentials, and from nowhere else', async () => {
    const answer = await preflight(UI);
    expect(answer.statusCode).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': UI,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization, content-type, x-namespace',
      vary: 'origin',
    });
    for (const origin of ['https://evil.example', `${UI}.evil.example`, 'http://temporal.example.com', 'null']) {
      const refused = await preflight(origin);
      expect(refused.statusCode).toBe(403);
      expect(refused.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('read the answer, and a refusal, from the UI alone', async () => {
    const allowed = await decode([await encrypted('x')], { origin: UI });
    const denied = await decode([await encrypted('x')], { origin: UI, authorization: undefined });
    for (const { headers } of [allowed, denied]) {
      expect(headers).toMatchObject({ 'access-control-allow-origin': UI, 'cache-control': 'no-store' });
    }
  });
});

test('there is no way to encode, and a health check that needs nobody', async () => {
  expect((await app.inject({ method: 'POST', url: '/encode', payload: {} })).statusCode).toBe(404);
  expect((await app.inject('/healthz')).json()).toEqual({ status: 'ok' });
});

test('a body that is too large, or none of JSON, is refused', async () => {
  const send = (payload: string, type: string) =>
    app.inject({
      method: 'POST',
      url: '/decode',
      headers: { authorization: `Bearer ${TOKEN}`, 'x-namespace': 'handoff', 'content-type': type },
      payload,
    });
  expect((await send(' '.repeat(7 * 1024 * 1024), 'application/json')).statusCode).toBe(413);
  expect((await send('payloads=1', 'application/x-www-form-urlencoded')).statusCode).toBe(400);
  expect((await send('{"payloads":[]}', 'text/plain')).statusCode).toBe(415);
  expect((await send('{"payloads":[', 'application/json')).statusCode).toBe(400);
});

describe('settings', () => {
  const SIGN_ON = { CODEC_JWKS_URL: 'https://sso/keys', CODEC_JWT_ISSUER: ISSUER, CODEC_JWT_AUDIENCE: AUDIENCE };
  const operators = `ada:${digest(TOKEN).toString('hex')}`;
  const read = (more: Record<string, string>) =>
    readCodecServerConfig({
      DATABASE_URL: 'postgres://codec@localhost/handoff',
      TEMPORAL_CODEC_KEYS: KEYS,
      CODEC_UI_ORIGIN: `${UI}/`,
      CODEC_OPERATORS: operators,
      ...more,
    });

  test('of every other process leave payloads as they are, unless keys are set', () => {
    const env = {
      DATABASE_URL: 'postgres://handoff@localhost/handoff',
      AUDIT_ANCHORS: 'file:///tmp/anchors',
      AUDIT_SIGNING_KEY: randomBytes(32).toString('base64url'),
      ...testContentEnv(),
    };
    expect(readWorkerConfig(env)).toMatchObject({ temporalCodec: null });
    expect(readWorkerConfig({ ...env, TEMPORAL_CODEC_KEYS: KEYS })).toMatchObject({
      temporalCodec: { keys: { activeKid: 'k1' }, acceptPlain: false },
    });
    for (const more of [{ TEMPORAL_CODEC_KEYS: 'k1:c2hvcnQ' }, { TEMPORAL_CODEC_ACCEPT_PLAIN: 'yes' }]) {
      const [name = ''] = Object.keys(more);
      expect(readWorkerConfig({ ...env, ...more })).toEqual({ problems: [expect.stringContaining(name)] });
    }
  });

  test('name the UI, and who may; it listens on this machine alone unless told otherwise', () => {
    expect(read({})).toMatchObject({ host: '127.0.0.1', port: 8234, uiOrigin: UI, singleSignOn: null });
    const claim = { name: 'https://sso/groups', value: 'handoff-operators' };
    expect(read({ CODEC_OPERATORS: '', ...SIGN_ON, CODEC_JWT_CLAIM: `${claim.name}:${claim.value}` })).toMatchObject({
      singleSignOn: { jwksUrl: 'https://sso/keys', issuer: ISSUER, audience: AUDIENCE, claim },
    });
  });

  test.each<[Record<string, string>, string]>([
    [{ TEMPORAL_CODEC_KEYS: '' }, 'TEMPORAL_CODEC_KEYS is missing'],
    [{ CODEC_UI_ORIGIN: '' }, 'CODEC_UI_ORIGIN is missing'],
    [{ CODEC_OPERATORS: '' }, 'CODEC_OPERATORS is missing'],
    [{ CODEC_OPERATORS: `ada:${TOKEN}` }, 'CODEC_OPERATORS must be name:sha256'],
    [{ CODEC_OPERATORS: `${operators},${operators}` }, 'CODEC_OPERATORS must be name:sha256'],
    [{ CODEC_JWKS_URL: 'https://sso/keys' }, 'are set together'],
    [SIGN_ON, 'are set together'],
    [{ ...SIGN_ON, CODEC_JWT_CLAIM: 'groups' }, 'CODEC_JWT_CLAIM must be name:value'],
    [{ ...SIGN_ON, CODEC_JWT_CLAIM: 'groups:' }, 'CODEC_JWT_CLAIM must be name:value'],
    [{ CODEC_JWKS_URL: 'http://sso/keys', NODE_ENV: 'production' }, 'CODEC_JWKS_URL must be an https URL'],
  ])('%j are refused', (more, problem) => {
    const config = read(more);
    expect(config).toEqual({ problems: [expect.stringContaining(problem)] });
    expect(JSON.stringify(config)).not.toContain(TOKEN);
  });
});
