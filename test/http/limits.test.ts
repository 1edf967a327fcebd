import { mkdtempSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild, type RunningChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { buildApp } from '../../src/http/app.ts';
import { CONNECTION_LIMITS } from '../../src/http/connection-limits.ts';
import { serveHealth } from '../../src/health-port.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { productionRoutes } from '../support/openapi-text.ts';
import { openSocket, parseAnswer, readToEnd } from '../support/raw-http.ts';
import { KEYS, testApi } from './api.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Routes that take more than 64 KiB, and what for. */
const LARGE_BODIES: Readonly<Record<string, number>> = {
  // A decision document is 1 MiB at most; the rest is for the files in it.
  'POST /v1/sessions/': 8 * MIB,
  'POST /v3/session/': 4 * MIB,
  'POST /v1/ingest/didit/:application_id/': 4 * MIB,
  'POST /v1/sessions/:session_id/media/': 10 * MIB,
};
/** Its file is read as it comes: 25 MB of it. */
const STREAMED = 'POST /v3/session/imports/';

/** Of 1 MB each. */
const ANSWERS = 40;

const routes = await productionRoutes();
const CONNECTIONS = 400;
const api = testApi({ connectionLimits: { connections: CONNECTIONS }, rateLimits: { reads: 100, writes: 100 } });
let port: number;
beforeAll(async () => {
  port = Number(new URL(await api.app.listen({ host: '127.0.0.1', port: 0 })).port);
});

const many = <T>(count: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));
const head = (line: string, key: string, more = '') =>
  `${line} HTTP/1.1\r\nhost: x\r\nx-api-key: ${key}\r\n${more}\r\n`;
const open = () =>
  new Promise<number>((resolve, reject) => {
    api.app.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });

/** Writes one byte of `bytes` at a time, for as long as the other side lets it. */
async function drip(socket: Socket, bytes: string): Promise<string> {
  const answer = readToEnd(socket);
  for (let at = 0; !socket.destroyed && !socket.writableEnded; at += 1) {
    socket.write(bytes[at % bytes.length] ?? '');
    await pause(40);
  }
  return answer;
}

function howMany(text: string): string {
  return text.split('HTTP/1.1 200').length <= ANSWERS ? 'some' : 'all';
}

describe('bodies', () => {
  it('are limited on every route', () => {
    const large = routes.filter(({ bodyLimit }) => bodyLimit !== 64 * KIB);
    expect(Object.fromEntries(large.map(({ method, url, bodyLimit }) => [`${method} ${url}`, bodyLimit]))).toEqual(
      LARGE_BODIES,
    );
  });

  it.each(
    routes
      .filter(({ method, url }) => ['POST', 'PUT', 'PATCH'].includes(method) && `${method} ${url}` !== STREAMED)
      .map((route) => [`${route.method} ${route.url}`, route] as const),
  )('of one byte too many are 413 on %s', async (_name, { method, url, needs, bodyLimit, contract }) => {
    // Who needs a person's token is refused before the body.
    if (needs === 'account') return;
    const brand = await api.newBrand();
    const answer = await api.app.inject({
      method,
      url: url.replace(/:[a-z_]+/g, '00000000-0000-7000-8000-000000000000'),
      headers: {
        'x-api-key': brand.key,
        'content-type': contract.bodyType ?? 'application/json',
        'content-length': String(bodyLimit + 1),
      },
      payload: '{}',
    });
    expect(answer.statusCode).toBe(413);
    expect(answer.json()).toMatchObject({ code: 'payload_too_large' });
    expect(answer.headers['connection']).toBe('close');
  });
});

describe('slow clients', () => {
  const limits = { headersMs: 1_000, bodyMs: 1_000, silentMs: 2_000, idleMs: 500, lookEveryMs: 100 };
  let server: RunningChild;
  let url: string;
  beforeAll(async () => {
    const free = await freePort();
    url = `http://127.0.0.1:${free}`;
    server = await startChild({
      name: 'The hasty server',
      command: process.execPath,
      args: [fileURLToPath(new URL('../support/hasty-server.ts', import.meta.url))],
      logFile: join(mkdtempSync(join(tmpdir(), 'handoff-hasty-')), 'server.log'),
      env: { ...process.env, DATABASE_URL: api.database.url, PORT: String(free), LIMITS: JSON.stringify(limits) },
      ready: async () => (await fetch(`${url}/healthz`)).ok,
    });
  });
  afterAll(() => server.stop());

  it('are all closed when their time is over, and nobody else waits for them', async () => {
    const { key } = await api.newBrand();
    const hasty = Number(new URL(url).port);
    const kinds: Record<string, (socket: Socket) => Promise<string>> = {
      'drips its head': (socket) => {
        socket.write('GET / HTTP/1.1\r\nhost: x\r\n');
        return drip(socket, 'x-more: and more\r\n');
      },
      'says nothing': (socket) => readToEnd(socket),
      'stops in its head': (socket) => (socket.write('GET / HTTP/1.1\r\nho'), readToEnd(socket)),
      'drips its body': (socket) => {
        socket.write(head('POST /v1/connections/', key, 'content-type: application/json\r\ncontent-length: 9999\r\n'));
        return drip(socket, ' ');
      },
      'stops in its body': (socket) => {
        socket.write(head('POST /v1/connections/', key, 'content-type: application/json\r\ncontent-length: 99\r\n'));
        return readToEnd(socket);
      },
      'drips on after its refusal': (socket) => {
        socket.write(
          head('POST /v1/connections/', 'none', 'content-type: application/json\r\ncontent-length: 9999\r\n'),
        );
        return drip(socket, ' ');
      },
      'asks once and stays': (socket) => (socket.write(head('GET /healthz', key)), readToEnd(socket)),
      'never reads': async (socket) => {
        // More than the buffers of two sockets hold.
        socket.pause().write(head('GET /v1/openapi.json', key).repeat(ANSWERS));
        // Whatever moved begins the time anew.
        await pause(3 * limits.silentMs);
        return readToEnd(socket.resume());
      },
    };
    const sockets = await Promise.all(
      Object.keys(kinds).flatMap((kind) =>
        Array.from({ length: kind === 'never reads' ? 3 : 20 }, async () => ({
          kind,
          socket: await openSocket(hasty),
        })),
      ),
    );
    const seen: Record<string, Set<string>> = {};
    const left = new Map(Object.keys(kinds).map((kind) => [kind, 0]));
    for (const { kind, socket } of sockets) {
      left.set(kind, (left.get(kind) ?? 0) + 1);
      void kinds[kind]?.(socket).then((text) => {
        left.set(kind, (left.get(kind) ?? 0) - 1);
        (seen[kind] ??= new Set()).add(kind === 'never reads' ? howMany(text) : String(parseAnswer(text).status));
      });
    }
    // Meanwhile whoever behaves is served.
    const { key: other } = await api.newBrand();
    const waiting = () => [...left].filter(([, count]) => count > 0);
    for (let round = 0; waiting().length > 0 && round < 200; round += 1) {
      const answer = await fetch(`${url}/v1/connections/`, { headers: { 'x-api-key': other } });
      expect(answer.status).toBe(200);
      await answer.arrayBuffer();
      await pause(100);
    }
    await expect.poll(waiting, { timeout: 20_000 }).toEqual([]);
    expect(Object.fromEntries(Object.entries(seen).map(([kind, each]) => [kind, [...each].sort().join(' ')]))).toEqual({
      'drips its head': '408',
      'says nothing': '408',
      'stops in its head': '408',
      'drips its body': '408',
      'stops in its body': '408',
      'drips on after its refusal': '401',
      'asks once and stays': '200',
      'never reads': 'some',
    });
  });

  it('have limits that fit together', () => {
    const { headersMs, bodyMs, silentMs, idleMs, lookEveryMs } = CONNECTION_LIMITS;
    expect(headersMs).toBeLessThanOrEqual(10_000);
    expect(bodyMs).toBeLessThanOrEqual(30_000);
    expect(lookEveryMs).toBeLessThan(headersMs);
    // Else a slow body would end without its 408.
    expect(silentMs).toBeGreaterThan(bodyMs);
    expect(idleMs).toBeGreaterThan(60_000);
  });

  it('cannot open more connections than may be', async () => {
    const sockets = await many(CONNECTIONS + 50, () => openSocket(port));
    await expect
      .poll(() => sockets.filter((socket) => socket.destroyed || socket.readableEnded).length)
      .toBeGreaterThanOrEqual(50);
    expect(await open()).toBeLessThanOrEqual(CONNECTIONS);
    for (const socket of sockets) socket.destroy();
    await expect.poll(open).toBeLessThan(3);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });
});

describe('a flood', () => {
  it('of one key is 429 with the time to wait, and starves no other key', async () => {
    const [flooding, calm] = [await api.newBrand(), await api.newBrand()];
    const get = (key: string) => fetch(`http://127.0.0.1:${port}/v1/connections/`, { headers: { 'x-api-key': key } });
    const [flood, others] = await Promise.all([many(300, () => get(flooding.key)), many(20, () => get(calm.key))]);
    expect(others.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    const refused = flood.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(150);
    expect(flood.filter(({ status }) => status === 200).length + refused.length).toBe(300);
    for (const { headers } of refused) {
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(headers.get('x-ratelimit-limit')).toBe('100');
      expect(headers.get('x-ratelimit-remaining')).toBe('0');
      expect(Number(headers.get('x-ratelimit-reset'))).toBeGreaterThan(1_600_000_000);
    }
  });

  it('beyond what the database can take is 503 at once, with the time to wait', async () => {
    const tenants = createTenants({ databaseUrl: api.database.url, maxConnections: 1, maxWaiting: 3 });
    const app = buildApp({
      ...testAppParts(),
      tenants: handoffTenants(tenants, testSealer, testBlindIndex),
      shareTokenKeys: KEYS,
      style: { businessStatusCase: 'upper' },
      webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
      logger: false,
      readiness: async () => ({ database: 'ok', migrations: 'ok', temporal: 'ok', search_attributes: 'ok' }),
    });
    const call = () => app.inject({ url: '/v1/connections/', headers: { 'x-api-key': api.issuer.key } });
    let free: (() => void) | undefined;
    try {
      expect((await call()).statusCode).toBe(200);
      // The only connection is held for as long as the flood lasts.
      const held = tenants.acrossTenants('health', async (tx) => {
        await tx.query('select 1');
        await new Promise<void>((resolve) => (free = resolve));
      });
      await expect.poll(() => free).toBeDefined();
      const flood = Array.from({ length: 40 }, call);
      const first = await Promise.race(flood);
      expect(first.statusCode).toBe(503);
      expect(first.json()).toMatchObject({ code: 'service_unavailable' });
      expect(Number(first.headers['retry-after'])).toBeGreaterThan(0);
      free?.();
      await held;
      const statuses = (await Promise.all(flood)).map(({ statusCode }) => statusCode);
      expect(statuses.filter((status) => status === 200)).toHaveLength(3);
      expect(statuses.filter((status) => status === 503)).toHaveLength(37);
      expect((await call()).statusCode).toBe(200);
    } finally {
      free?.();
      await app.close();
      await tenants.close();
    }
  });
});

describe('the health port of a worker', () => {
  it('answers, and holds no connection open', async () => {
    const free = await freePort();
    let well = true;
    const stop = await serveHealth(free, () => well);
    const first = await fetch(`http://127.0.0.1:${free}/healthz`);
    expect([first.status, first.headers.get('connection')]).toEqual([200, 'close']);
    well = false;
    expect((await fetch(`http://127.0.0.1:${free}/healthz`)).status).toBe(503);
    const sockets = await many(60, () => openSocket(free));
    await expect
      .poll(() => sockets.filter((socket) => socket.destroyed || socket.readableEnded).length)
      .toBeGreaterThanOrEqual(40);
    for (const socket of sockets) socket.destroy();
    stop();
  });
});
