import { describe, expect, it } from 'vitest';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { mint, takeIn, userDocument } from './documents.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';

const api = testApi();
let serial = 0;
const newKey = () => `key-${(serial += 1)}`;
const post = (as: Brand, url: string, body: unknown, key: string) =>
  api.call(as, 'POST', url, body, { 'idempotency-key': key });

/** Sends a request twice under one key: the second must answer as the first did, and write nothing. */
async function twice(as: Brand, url: string, body: unknown) {
  const key = newKey();
  const first = await post(as, url, body, key);
  expect(first.status).toBeLessThan(300);
  expect(first.headers).not.toHaveProperty('idempotent-replayed');
  const rows = await api.rows();
  const second = await post(as, url, body, key);
  expect(second.headers).toMatchObject({ 'idempotent-replayed': 'true' });
  expect(await api.rows()).toEqual(rows);
  expect(second.status).toBe(first.status);
  return { key, first, second };
}

async function openOnboarding(): Promise<string> {
  const answer = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
    session_id: await takeIn(api, api.issuer),
    for_application_id: api.partner.id,
  });
  const tokenId = textOf(answer, 'token_id');
  await handoffTenants(api.tenants, testSealer, testBlindIndex).acrossTenants('onboarding', async (tx) => {
    await mintForOnboarding(tx, tokenId, 1);
  });
  return tokenId;
}

describe('a POST sent twice under one Idempotency-Key', () => {
  it('mints one token, and shows it again even when it has expired', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const body = { for_application_id: api.partner.id };
    const { key, first, second } = await twice(api.issuer, `/v3/session/${sessionId}/share/`, body);
    expect(second.body).toEqual(first.body);
    await shiftClock(api.database.pool, '2 hours');
    try {
      expect((await post(api.issuer, `/v3/session/${sessionId}/share`, body, key)).body).toEqual(first.body);
    } finally {
      await resetClock(api.database.pool);
    }
  });

  it('imports once, and shows the session again', async () => {
    const token = await mint(api, api.issuer, await takeIn(api, api.issuer), api.partner);
    const { key, first, second } = await twice(api.partner, '/v3/session/import-shared/', { share_token: token });
    expect(second.body).toEqual(first.body);
    await api.database.pool.query('delete from session where session_id = $1', [first.body['session_id']]);
    const rows = await api.rows();
    expect(await post(api.partner, '/v3/session/import-shared/', { share_token: token }, key)).toMatchObject({
      status: 404,
      body: { code: 'resource_deleted' },
    });
    expect(await api.rows()).toEqual(rows);
  });

  it('takes a session in once, without an external_id too, and keeps the first status', async () => {
    const { first, second } = await twice(api.issuer, '/v1/sessions/', userDocument());
    expect(first.status).toBe(201);
    expect(second.body).toEqual(first.body);
    await api.call(api.issuer, 'POST', '/v1/sessions/', userDocument({ external_id: 'twice' }));
    const known = await twice(api.issuer, '/v1/sessions/', userDocument({ external_id: 'twice' }));
    expect(known.first.status).toBe(200);
  });

  it('starts one onboarding', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const body = { session_id: sessionId, for_application_id: api.partner.id };
    const { first, second } = await twice(api.issuer, '/v1/onboardings/', body);
    expect(first.status).toBe(202);
    expect(second.body).toEqual(first.body);
  });

  it('acknowledges and revokes once', async () => {
    const tokenId = await openOnboarding();
    await twice(api.partner, `/v1/onboardings/${tokenId}/acknowledge/`, { accept: true });
    await twice(api.issuer, `/v1/onboardings/${tokenId}/revoke/`, {});
  });

  it('proposes one connection', async () => {
    const { second, first } = await twice(api.issuer, '/v1/connections/', { partner_application_id: api.partner.id });
    expect(second.body).toEqual(first.body);
  });

  it('creates one webhook destination, whose secret is shown once', async () => {
    const body = { url: 'https://receiver.example/hooks', subscribed_events: ['status.updated'] };
    const { key, first, second } = await twice(api.partner, '/v3/webhook/destinations/', body);
    expect(first.body['secret_shared_key']).toMatch(/^[\w-]{43}$/);
    expect(first.body).not.toHaveProperty('secret_replayed');
    expect(second.body).toEqual({
      ...first.body,
      secret_shared_key: null,
      secret_standard_webhooks: null,
      secret_replayed: true,
    });
    await api.call(api.partner, 'DELETE', `/v3/webhook/destinations/${textOf(first, 'uuid')}/`);
    expect(await post(api.partner, '/v3/webhook/destinations/', body, key)).toMatchObject({
      status: 404,
      body: { code: 'resource_deleted' },
    });
  });
});

describe('an Idempotency-Key', () => {
  it('belongs to one request: another body, path or method is refused', async () => {
    const [one, other] = [await takeIn(api, api.issuer), await takeIn(api, api.issuer)];
    const key = newKey();
    const body = { for_application_id: api.partner.id };
    await post(api.issuer, `/v3/session/${one}/share/`, body, key);
    const rows = await api.rows();
    const reused = { status: 422, body: { code: 'idempotency_key_reused' } };
    expect(await post(api.issuer, `/v3/session/${one}/share/`, { ...body, ttl_in_seconds: 60 }, key)).toMatchObject(
      reused,
    );
    expect(await post(api.issuer, `/v3/session/${other}/share/`, body, key)).toMatchObject(reused);
    expect(await post(api.issuer, '/v1/sessions/', userDocument(), key)).toMatchObject(reused);
    expect(await api.rows()).toEqual(rows);
    const theirs = await takeIn(api, api.third);
    expect((await post(api.third, `/v3/session/${theirs}/share/`, body, key)).status).toBe(201);
  });

  it('is not used up by a refusal', async () => {
    const sessionId = await takeIn(api, api.issuer, userDocument({ status: 'In Progress' }));
    const key = newKey();
    const send = () => post(api.issuer, `/v3/session/${sessionId}/share/`, { for_application_id: api.partner.id }, key);
    const rows = await api.rows();
    expect((await send()).status).toBe(400);
    expect(await api.rows()).toEqual(rows);
    await api.database.pool.query(`update session set status = 'Approved' where session_id = $1`, [sessionId]);
    expect((await send()).status).toBe(201);
  });

  it('answers 409 while the first request is still running, and has one effect', async () => {
    const key = newKey();
    const body = userDocument({ external_id: 'slow' });
    const blocker = await api.database.pool.connect();
    try {
      await blocker.query('begin');
      await blocker.query('select pg_advisory_xact_lock(hashtextextended($1, 1))', [`${api.issuer.id}:slow`]);
      const slow = post(api.issuer, '/v1/sessions/', body, key);
      await expect
        .poll(async () => (await api.database.pool.query('select 1 from pg_locks where not granted')).rowCount)
        .toBe(1);
      expect(await post(api.issuer, '/v1/sessions/', body, key)).toMatchObject({
        status: 409,
        body: { code: 'idempotency_in_progress' },
      });
      await blocker.query('rollback');
      expect((await slow).status).toBe(201);
      expect((await post(api.issuer, '/v1/sessions/', body, key)).body).toEqual((await slow).body);
    } finally {
      blocker.release();
    }
  });

  it('has one effect, however many requests come at once', async () => {
    const key = newKey();
    const before = await api.rows();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(api.issuer, '/v1/sessions/', userDocument(), key)),
    );
    const made = answers.filter(({ status }) => status === 201);
    expect(new Set(made.map(({ body }) => body['session_id'])).size).toBe(1);
    expect(answers.filter(({ status }) => status !== 201).every(({ status }) => status === 409)).toBe(true);
    expect((await api.rows())['session']).toBe((before['session'] ?? 0) + 1);
  });

  it('is forgotten after 24 hours', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const key = newKey();
    const send = (ttl: number) =>
      post(
        api.issuer,
        `/v3/session/${sessionId}/share/`,
        { for_application_id: api.partner.id, ttl_in_seconds: ttl },
        key,
      );
    const first = await send(60);
    await shiftClock(api.database.pool, '24 hours');
    try {
      const second = await send(61);
      expect(second.status).toBe(201);
      expect(second.body['share_token']).not.toBe(first.body['share_token']);
    } finally {
      await resetClock(api.database.pool);
    }
  });

  it.each(['', ' ', 'a b', 'x'.repeat(256), 'schlüssel'])('must be visible ASCII: %j', async (key) => {
    const sessionId = await takeIn(api, api.issuer);
    const answer = await post(
      api.issuer,
      `/v3/session/${sessionId}/share/`,
      { for_application_id: api.partner.id },
      key,
    );
    expect(answer.status).toBe(400);
    expect(answer.body).toHaveProperty(['Idempotency-Key']);
  });

  it('keeps nothing of what was sent or answered', async () => {
    const columns = await api.database.pool.query<{ name: string }>(
      `select column_name as name from information_schema.columns where table_name = 'idempotency_key' order by 1`,
    );
    expect(columns.rows.map(({ name }) => name)).toEqual([
      'body_sha256',
      'created_at',
      'key',
      'resource_id',
      'route',
      'scope',
      'status',
    ]);
  });
});
