import { afterEach, describe, expect, it, vi } from 'vitest';
import { apiKeyDigest, newApiKey, readKeyId } from '../../src/accounts/api-keys.ts';
import { createKeyChecker, type StoredApiKey } from '../../src/accounts/key-checker.ts';
import { buildApp } from '../../src/http/app.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { NO_LIMITS, testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { KEYS, testApi } from './api.ts';

const api = testApi();

/** An app that believes these proxies, and notes each crossing that it makes. */
function appBehind(trustProxy: string[] | undefined) {
  const crossings: string[] = [];
  const tenants = handoffTenants(
    {
      ...api.tenants,
      acrossTenants: (crossing, work) => {
        crossings.push(crossing);
        return api.tenants.acrossTenants(crossing, work);
      },
      withTenant: (id, work, crossing) => {
        crossings.push(crossing ?? 'tenant');
        return api.tenants.withTenant(id, work, crossing);
      },
    },
    testSealer,
    testBlindIndex,
  );
  const app = buildApp({
    tenants,
    shareTokenKeys: KEYS,
    style: { businessStatusCase: 'upper' },
    webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
    logger: false,
    ...testAppParts(),
    rateLimits: NO_LIMITS,
    ...(trustProxy !== undefined && { trustProxy }),
    readiness: () => Promise.reject(new Error('nobody asks')),
  });
  const call = async (key: string, from: string, headers: Record<string, string> = {}) =>
    (
      await app.inject({
        method: 'GET',
        url: '/v1/onboardings/',
        remoteAddress: from,
        headers: { 'x-api-key': key, ...headers },
      })
    ).statusCode;
  return { app, call, crossings };
}

describe('a dump of the database', () => {
  it('holds no key that can be used, nor anything that makes one', async () => {
    const { rows } = await api.database.pool.query<{ row: string; sha256: Buffer; last: string }>(
      'select k::text as row, secret_sha256 as sha256, last_four as last from api_key k',
    );
    const dump = rows.map(({ row }) => row).join('\n');
    for (const { key, keyId } of [api.issuer, api.partner, api.third]) {
      const stored = rows.find(({ row }) => row.includes(keyId));
      expect(stored?.sha256).toEqual(apiKeyDigest(key));
      expect(stored?.last).toBe(key.slice(-4));
      // Of the 49 characters after the key id, four are there; the others are 256 random bits.
      const secret = key.split('_')[3] ?? '';
      for (let at = 0; at + 6 <= secret.length; at += 1) expect(dump).not.toContain(secret.slice(at, at + 6));
    }
    // What is stored is no key itself.
    for (const { sha256 } of rows) {
      for (const text of [sha256.toString('hex'), sha256.toString('base64url'), `\\x${sha256.toString('hex')}`]) {
        expect(readKeyId(text)).toBeNull();
        expect((await api.call(text, 'GET', '/v1/onboardings/')).status).toBe(401);
      }
    }
  });
});

describe('a typo in a key', () => {
  it('is refused by its checksum, without a look at any key', async () => {
    const { app, call, crossings } = appBehind(undefined);
    const { key } = api.issuer;
    const typos = Array.from(
      { length: key.length },
      (_, at) => key.slice(0, at) + (key[at] === 'a' ? 'b' : 'a') + key.slice(at + 1),
    );
    for (const typo of [...typos, key.slice(1), key.slice(0, -1), `${key}0`, key.toUpperCase()]) {
      expect(await call(typo, '192.0.2.1')).toBe(401);
    }
    // Only the budget of refused calls is asked for, a share at a time.
    expect(new Set(crossings)).toEqual(new Set(['rate_limit']));
    expect(crossings.length).toBeLessThan(typos.length / 2);
    crossings.length = 0;
    expect(await call(newApiKey('sandbox').text, '192.0.2.1')).toBe(401);
    expect(crossings).toContain('authenticate');
    await app.close();
  });
});

describe('a key that is revoked', () => {
  afterEach(() => void vi.useRealTimers());

  const rowOf = (key: ReturnType<typeof newApiKey>, living: boolean): StoredApiKey => ({
    keyId: key.keyId,
    applicationId: '0198c0de-0000-7000-8000-000000000001',
    sha256: key.sha256,
    privileges: {},
    allowedAddresses: [],
    applicationDeleted: false,
    living,
  });

  it('is known to no process for more than a second after it, however it asks', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const key = newApiKey('live');
    let living = true;
    const find = () => Promise.resolve(rowOf(key, living));
    const processes = Array.from({ length: 3 }, () => createKeyChecker(find));
    // Each last looks at another moment before.
    for (const check of processes) {
      vi.advanceTimersByTime(300);
      expect(await check(key.text)).not.toBeNull();
    }
    living = false;
    for (let ms = 0; ms < 1_000; ms += 50) {
      vi.advanceTimersByTime(50);
      // Being used all the time keeps no answer.
      for (const check of processes) await check(key.text);
    }
    for (const check of processes) expect(await check(key.text)).toBeNull();
  });

  it('is not kept by a look that took long: its answer counts from when it was asked for', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const key = newApiKey('live');
    let living = true;
    let answer: () => void = () => undefined;
    let slow = true;
    const check = createKeyChecker(async () => {
      const row = rowOf(key, living);
      if (slow) await new Promise<void>((resolve) => (answer = resolve));
      return row;
    });
    const first = check(key.text);
    living = false;
    slow = false;
    vi.advanceTimersByTime(1_000);
    answer();
    expect(await first).not.toBeNull();
    expect(await check(key.text)).toBeNull();
  });
});

describe('the addresses that a key may be used from', () => {
  const allowed = async (...addresses: string[]) => {
    const key = await api.newKey(api.issuer, { onboardings: 'read' });
    await api.database.pool.query('update api_key set allowed_addresses = $2::cidr[] where key_id = $1', [
      key.split('_')[2],
      addresses,
    ]);
    return key;
  };

  it('are those of the connection where no proxy is trusted, whatever the headers say', async () => {
    const { app, call } = appBehind(undefined);
    const key = await allowed('203.0.113.7');
    expect(await call(key, '203.0.113.7')).toBe(200);
    expect(await call(key, '203.0.113.7', { 'x-forwarded-for': '198.51.100.1' })).toBe(200);
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'cf-connecting-ip', 'true-client-ip']) {
      expect(await call(key, '198.51.100.1', { [name]: '203.0.113.7' }), name).toBe(403);
    }
    await app.close();
  });

  it('are what the trusted proxy saw, and nothing that a client wrote before it', async () => {
    const { app, call } = appBehind(['10.0.0.0/8']);
    const key = await allowed('203.0.113.7', '10.9.9.9');
    expect(await call(key, '10.0.0.1', { 'x-forwarded-for': '203.0.113.7' })).toBe(200);
    expect(await call(key, '10.0.0.1', { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' })).toBe(200);
    expect(await call(key, '10.0.0.1', { 'x-forwarded-for': '203.0.113.7, 198.51.100.1' })).toBe(403);
    expect(await call(key, '10.0.0.1', { 'x-forwarded-for': '198.51.100.1' })).toBe(403);
    // Somebody who goes round the proxy.
    expect(await call(key, '198.51.100.1', { 'x-forwarded-for': '203.0.113.7' })).toBe(403);
    expect(await call(key, '203.0.113.7')).toBe(200);
    await app.close();
  });
});
