import { beforeEach, expect, it } from 'vitest';
import type { ShareTokenKeys } from '../../src/crypto/share-token-keys.ts';
import { KEYS, testApi, textOf } from './api.ts';
import { mint, takeIn } from './documents.ts';

let keys: ShareTokenKeys = KEYS;
const api = testApi({ shareTokenKeys: { get: (kid) => keys.get(kid) } });
beforeEach(() => {
  keys = KEYS;
});

const NONE: ShareTokenKeys = { get: () => undefined };
const AWAY: ShareTokenKeys = {
  get: () => Promise.reject(Object.assign(new Error('the database is away'), { code: 'ECONNREFUSED' })),
};
const share = async (headers = {}, sessionId?: string) =>
  api.call(
    api.issuer,
    'POST',
    `/v3/session/${sessionId ?? (await takeIn(api, api.issuer))}/share/`,
    { for_application_id: api.partner.id },
    headers,
  );
const redeem = (token: string) => api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });

it('a mint that is asked for again after its key was removed says that what it made is gone', async () => {
  const sessionId = await takeIn(api, api.issuer);
  const headers = { 'idempotency-key': 'mint-once' };
  const first = await share(headers, sessionId);
  expect((await share(headers, sessionId)).body).toEqual(first.body);
  keys = NONE;
  const before = await api.rows();
  expect(await share(headers, sessionId)).toMatchObject({ status: 404, body: { code: 'resource_deleted' } });
  expect(await api.rows()).toEqual(before);
});

it('a mint whose key is removed in that moment asks to be tried again', async () => {
  keys = NONE;
  expect(await share()).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
  keys = KEYS;
  expect((await share()).status).toBe(201);
});

it('a mint before there is any key asks to be tried again', async () => {
  await api.database.pool.query(`update signing_key set state = 'retiring' where state = 'active'`);
  const before = await api.rows();
  try {
    const answer = await share({}, await takeIn(api, api.issuer));
    expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
  } finally {
    await api.database.pool.query(`update signing_key set state = 'active' where kid = $1`, [KEYS.activeKid]);
  }
  expect((await api.rows())['share_token']).toBe(before['share_token']);
});

it('a token whose key was removed is none; while the keys cannot be read, it is no answer', async () => {
  const token = await mint(api, api.issuer, await takeIn(api, api.issuer), api.partner);
  keys = NONE;
  expect(await redeem(token)).toMatchObject({ status: 401, body: { code: 'share_token_invalid' } });
  keys = AWAY;
  expect(await redeem(token)).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
  keys = KEYS;
  const imported = await redeem(token);
  expect(imported.status).toBe(201);
  expect(textOf(imported, 'session_id')).toMatch(/^[0-9a-f-]{36}$/);
});
