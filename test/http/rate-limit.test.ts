import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/accounts/api-keys.ts';
import type { RateLimits } from '../../src/config.ts';
import { buildApp } from '../../src/http/app.ts';
import { createRateLimiter, limitCall, type RateLimiter } from '../../src/http/rate-limit.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { forgetRateLimitWindows, leaseCalls, type Budget } from '../../src/postgres/rate-limits.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { shiftClock } from '../support/database.ts';
import { KEYS, testApi } from './api.ts';

const LIMITS = { reads: 100, writes: 40 };
const DESTINATIONS = '/v3/webhook/destinations/';
const api = testApi({ rateLimits: LIMITS });
const opened: Tenants[] = [];

function pool(databaseUrl = api.database.url): HandoffTenants {
  const tenants = createTenants({ databaseUrl });
  opened.push(tenants);
  return handoffTenants(tenants, testSealer, testBlindIndex);
}

/** A limiter of a process of its own; `leases` counts what it asked the database. */
function limiterOf(tenants: HandoffTenants, now?: () => number): RateLimiter & { leases: number } {
  const limiter = createRateLimiter({
    key: Buffer.alloc(32, 1),
    lease: (budget, wanted) => {
      counted.leases += 1;
      return tenants.acrossTenants('rate_limit', (_tx, sql) => leaseCalls(sql, budget, wanted));
    },
    ...(now !== undefined && { now }),
  });
  const counted = { ...limiter, leases: 0 };
  return counted;
}

/** The app of another process. */
function appOver(tenants: HandoffTenants, rateLimits: RateLimits): FastifyInstance {
  return buildApp({
    ...testAppParts(),
    tenants,
    shareTokenKeys: KEYS,
    style: { businessStatusCase: 'upper' },
    webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
    logger: false,
    rateLimits,
    readiness: async () => ({ database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' }),
  });
}

/** Takes this many calls at once, as many from each limiter; how many were admitted. */
async function storm(limiters: readonly RateLimiter[], budget: Budget, calls: number): Promise<number> {
  const taken = await Promise.all(
    Array.from({ length: calls / limiters.length }, () => limiters.map((limiter) => limiter.take(budget))).flat(),
  );
  return taken.filter((one) => one?.admitted === true).length;
}

let serial = 0;
const budgetOf = (limit: number, windowSeconds = 3600): Budget => ({
  bucket: `test:${(serial += 1)}`,
  limit,
  windowSeconds,
});

/** Moves the database's clock to the beginning of a minute, so that no window ends within a test. */
async function beginMinute(): Promise<void> {
  const { rows } = await api.database.pool.query<{ left: number }>(
    'select (60 - extract(epoch from handoff_now()) % 60)::float8 as left',
  );
  await shiftClock(api.database.pool, `${(rows[0]?.left ?? 0) + 0.5} seconds`);
}

beforeAll(beginMinute);
afterAll(async () => {
  await Promise.all(opened.map((tenants) => tenants.close()));
});

describe('the limiter', () => {
  it('admits the limit over two processes, with few questions to the database', async () => {
    const limiters = [limiterOf(pool()), limiterOf(pool())];
    const budget = budgetOf(600);
    const first = await storm(limiters, budget, 500);
    const second = await storm(limiters, budget, 1_000);
    expect(first).toBe(500);
    expect(first + second).toBeLessThanOrEqual(600);
    expect(first + second).toBeGreaterThanOrEqual(570);
    const leases = limiters.reduce((sum, { leases }) => sum + leases, 0);
    expect(leases).toBeLessThanOrEqual(52);
    // A window that is used up is not asked for again.
    expect(await storm(limiters, budget, 100)).toBe(0);
    expect(limiters.reduce((sum, { leases }) => sum + leases, 0)).toBe(leases);
  });

  it('leaves no more unused than what an idle process holds', async () => {
    const [idle, busy] = [limiterOf(pool()), limiterOf(pool())];
    const budget = budgetOf(500);
    expect(await storm([idle], budget, 1)).toBe(1);
    expect(await storm([busy], budget, 600)).toBe(490);
    expect(await storm([idle], budget, 20)).toBe(9);
  });

  it('is exact for small limits, and keeps buckets apart', async () => {
    const limiters = [limiterOf(pool()), limiterOf(pool())];
    const [one, other] = [budgetOf(5), budgetOf(5)];
    expect(await storm(limiters, one, 30)).toBe(5);
    expect(await storm(limiters, other, 4)).toBe(4);
  });

  it('begins anew with the next window', async () => {
    await beginMinute();
    let steady = 0;
    const limiter = limiterOf(pool(), () => steady);
    const budget = budgetOf(10, 60);
    expect(await storm([limiter], budget, 12)).toBe(10);
    const refused = await limiter.take(budget);
    expect(refused).toMatchObject({ admitted: false, limit: 10, remaining: 0 });
    expect(refused?.retryAfter).toBeGreaterThan(50);
    expect(refused?.retryAfter).toBeLessThanOrEqual(60);
    steady += 30_000;
    expect((await limiter.take(budget))?.retryAfter).toBe((refused?.retryAfter ?? 0) - 30);
    steady += 30_000;
    await shiftClock(api.database.pool, '60 seconds');
    expect(await limiter.take(budget)).toMatchObject({
      admitted: true,
      remaining: 9,
      resetsAt: (refused?.resetsAt ?? 0) + 60,
    });
  });

  it('knows nothing while the database is away, and passes faults on', async () => {
    const away = limiterOf(pool('postgres://nobody@127.0.0.1:1/none'));
    expect(await away.take(budgetOf(5))).toBeNull();
    const broken = createRateLimiter({
      key: Buffer.alloc(32),
      lease: () => Promise.reject(new TypeError('a fault of ours')),
    });
    await expect(broken.take(budgetOf(5))).rejects.toThrow('a fault of ours');
  });

  it('names an address by a keyed hash, and an IPv6 address by its /64', () => {
    const limiter = limiterOf(pool());
    const addressBucket = (address: string) => limiter.addressBucket(address);
    expect(addressBucket('192.0.2.7')).toMatch(/^address:[\w-]{43}$/);
    expect(addressBucket('::ffff:192.0.2.7')).toBe(addressBucket('192.0.2.7'));
    expect(addressBucket('192.0.2.8')).not.toBe(addressBucket('192.0.2.7'));
    expect(addressBucket('2001:db8::1')).toBe(addressBucket('2001:0DB8:0:0:ffff::2'));
    expect(addressBucket('2001:db8:0:1::1')).not.toBe(addressBucket('2001:db8::1'));
    expect(addressBucket('::1')).toBe(addressBucket('::2'));
    const other = createRateLimiter({ key: Buffer.alloc(32, 2), lease: () => Promise.reject(new Error()) });
    expect(other.addressBucket('192.0.2.7')).not.toBe(addressBucket('192.0.2.7'));
  });

  it('takes ended windows away, and no others', async () => {
    const windows = async () => {
      const { rows } = await api.database.pool.query<{ bucket: string }>(
        `select bucket from rate_limit_window where bucket like 'test:%' order by ends_at`,
      );
      return rows.map(({ bucket }) => bucket);
    };
    const tenants = pool();
    const [short, long] = [budgetOf(5, 60), budgetOf(5, 86_400)];
    await storm([limiterOf(tenants)], short, 1);
    await storm([limiterOf(tenants)], long, 1);
    expect(await windows()).toEqual(expect.arrayContaining([short.bucket, long.bucket]));
    await shiftClock(api.database.pool, '61 seconds');
    await tenants.acrossTenants('relay', async (_tx, sql) => forgetRateLimitWindows(sql));
    const left = await windows();
    expect(left).not.toContain(short.bucket);
    expect(left).toContain(long.bucket);
  });
});

describe('routes', () => {
  it('state the limits of a key for reads and writes', async () => {
    await beginMinute();
    const brand = await api.newBrand();
    const first = await api.call(brand, 'GET', DESTINATIONS);
    expect(first).toMatchObject({
      status: 200,
      headers: { 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '99' },
    });
    const { rows } = await api.database.pool.query<{ end: number }>(
      'select ((floor(extract(epoch from handoff_now()) / 60) + 1) * 60)::float8 as end',
    );
    expect(Number(first.headers['x-ratelimit-reset'])).toBe(rows[0]?.end);
    const write = await api.call(brand, 'POST', DESTINATIONS, {});
    expect(write).toMatchObject({ status: 400, headers: { 'x-ratelimit-limit': '40', 'x-ratelimit-remaining': '39' } });
    // Calls that are refused count as well, and another key's calls do not.
    const other = await api.newKey(brand, { webhooks: 'read' });
    expect((await api.call(other, 'GET', DESTINATIONS)).headers['x-ratelimit-remaining']).toBe('99');
  });

  it('answer 429 with the time to wait, in Didit’s sentences', async () => {
    await beginMinute();
    const brand = await api.newBrand();
    const reads = await Promise.all(Array.from({ length: 102 }, () => api.call(brand, 'GET', DESTINATIONS)));
    expect(reads.filter(({ status }) => status === 200)).toHaveLength(100);
    const refused = reads.find(({ status }) => status === 429);
    expect(refused?.body).toEqual({
      detail: 'GET request rate limit exceeded. You can make up to 100 requests per minute.',
      code: 'rate_limited',
    });
    expect(refused?.headers).toMatchObject({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '0' });
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused?.headers['retry-after'])).toBeLessThanOrEqual(60);
    const writes = await Promise.all(Array.from({ length: 41 }, () => api.call(brand, 'POST', DESTINATIONS, {})));
    expect(writes.find(({ status }) => status === 429)?.body).toEqual({
      detail: 'Write request rate limit exceeded. You can make up to 40 requests per minute.',
      code: 'rate_limited',
    });
    // The same budget at another process.
    const second = appOver(pool(), LIMITS);
    const there = await second.inject({ url: DESTINATIONS, headers: { 'x-api-key': brand.key } });
    expect(there.statusCode).toBe(429);
    await second.close();
  });

  it('are never counted for health checks and unknown paths', async () => {
    for (const [url, status] of [
      ['/healthz', 200],
      ['/readyz', 200],
      ['/nowhere/', 404],
    ] as const) {
      const answer = await api.call(null, 'GET', url);
      expect(answer.status).toBe(status);
      expect(answer.headers).not.toHaveProperty('x-ratelimit-limit');
    }
  });
});

describe('calls that are refused for their key or token', () => {
  it('are counted by address, and hold nobody else up there', async () => {
    await beginMinute();
    const app = appOver(pool(), { reads: 3, writes: 1 });
    const brand = await api.newBrand();
    const keyOfMany = await api.newKey(brand, { webhooks: 'read' });
    const from = (remoteAddress: string, method: 'GET' | 'POST', url: string, headers: Record<string, string>) =>
      app.inject({ remoteAddress, method, url, headers });
    const guess = () => newApiKey('sandbox').text;
    const refused = await Promise.all([
      ...Array.from({ length: 14 }, () => from('192.0.2.9', 'GET', DESTINATIONS, { 'x-api-key': guess() })),
      ...Array.from({ length: 5 }, () => from('192.0.2.9', 'GET', DESTINATIONS, {})),
      ...Array.from({ length: 5 }, () =>
        from('192.0.2.9', 'GET', '/auth/v2/organizations/me/', { authorization: 'Bearer x' }),
      ),
      ...Array.from({ length: 6 }, () => from('192.0.2.9', 'POST', DESTINATIONS, { 'x-api-key': keyOfMany })),
    ]);
    expect(new Set(refused.map(({ statusCode }) => statusCode))).toEqual(new Set([401, 403]));
    const next = await from('192.0.2.9', 'GET', DESTINATIONS, { 'x-api-key': guess() });
    expect(next.statusCode).toBe(429);
    expect(Number(next.headers['retry-after'])).toBeGreaterThan(0);
    expect(next.json()).toMatchObject({ code: 'rate_limited' });
    expect((await from('192.0.2.9', 'GET', DESTINATIONS, { 'x-api-key': keyOfMany })).statusCode).toBe(200);
    expect((await from('192.0.2.10', 'GET', DESTINATIONS, { 'x-api-key': guess() })).statusCode).toBe(401);
    await app.close();
  });
});

describe('public routes', () => {
  it('are counted by address, or by whom the route names, or by a budget of their own', async () => {
    await beginMinute();
    const app = appOver(pool(), { reads: 3, writes: 1 });
    const config = { needs: 'public' } as const;
    app.get('/open/', { config }, () => ({}));
    app.get('/register/', { config: { ...config, rateLimit: 'none' } }, async (request, reply) => {
      const bucket = `register:${app.rateLimiter.addressBucket(request.ip)}`;
      await limitCall(reply, { bucket, limit: 2, windowSeconds: 3600 });
      return {};
    });
    const statuses = async (url: string, times: number, remoteAddress: string) => {
      const answers = await Promise.all(Array.from({ length: times }, () => app.inject({ url, remoteAddress })));
      return { ok: answers.filter(({ statusCode }) => statusCode === 200).length, last: answers.at(-1) };
    };
    expect((await statuses('/open/', 32, '192.0.2.1')).ok).toBe(30);
    expect((await statuses('/open/', 1, '192.0.2.2')).ok).toBe(1);
    const { ok, last } = await statuses('/register/', 3, '192.0.2.1');
    expect(ok).toBe(2);
    expect(last?.statusCode).toBe(429);
    expect(last?.json()).toEqual({
      detail: `Request was throttled. Expected available in ${String(last?.headers['retry-after'])} seconds.`,
      code: 'rate_limited',
    });
    const { rows } = await api.database.pool.query<{ bucket: string }>(
      `select bucket from rate_limit_window where bucket like '%address:%'`,
    );
    expect(rows.length).toBeGreaterThanOrEqual(3);
    expect(JSON.stringify(rows)).not.toContain('192.0.2');
    await app.close();
  });
});

it('goes on without the database, so that the call says itself what it lacks', async () => {
  const app = appOver(pool('postgres://nobody@127.0.0.1:1/none'), LIMITS);
  app.get('/open/', { config: { needs: 'public' } }, () => ({ open: true }));
  const answer = await app.inject({ url: '/open/' });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers).not.toHaveProperty('x-ratelimit-limit');
  expect((await app.inject({ url: DESTINATIONS, headers: { 'x-api-key': api.issuer.key } })).statusCode).toBe(503);
  await app.close();
});
