import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { buildApp } from '../../src/http/app.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { KEYS } from '../http/api.ts';
import { testAppParts, testBlindIndex, testSealer } from '../support/app-parts.ts';
import { postgresProxy, type PostgresProxy } from '../support/postgres-proxy.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';
import { nameKeys } from '../support/signing-keys.ts';

const POINTS = 200;
const KILLS = 4;

const lab = shareLab();

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

/** Asks again as long as Postgres has not noticed that the first try is gone. */
async function retried(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (answer.body['code'] !== 'idempotency_in_progress') return answer;
    await pause(10);
  }
}

/** What must hold of an import whose reply may have been lost, once it was asked for again with its key. */
async function expectOneImport(sessionId: string, first: Answer | null, again: Answer): Promise<void> {
  expect(again).toMatchObject({ status: 201 });
  if (first?.status === 201) expect(again.body).toEqual(first.body);
  const made = await lab.rows<{ session_id: string }>(
    'select session_id from redemption where source_session_id = $1',
    [sessionId],
  );
  expect(made).toEqual([{ session_id: again.body['session_id'] }]);
  const clones = await lab.rows('select 1 from session where shared_from_session = $1', [sessionId]);
  expect(clones).toHaveLength(1);
}

describe('a connection to Postgres that is lost during an import', () => {
  let proxy: PostgresProxy;
  let tenants: Tenants;
  let app: FastifyInstance;
  beforeAll(async () => {
    await lab.database.pool.query('delete from signing_key');
    await lab.tenants.acrossTenants('secrets', async (sql) => nameKeys(sql, KEYS));
    proxy = await postgresProxy(lab.database.url);
    tenants = createTenants({ databaseUrl: proxy.url, maxConnections: 2 });
    app = buildApp({
      tenants: handoffTenants(tenants, testSealer, testBlindIndex),
      shareTokenKeys: KEYS,
      style: { businessStatusCase: 'upper' },
      webhookUrlRules: { allowHttp: false, allowedPorts: [], allowedCidrs: [] },
      logger: false,
      ...testAppParts(),
      readiness: () => Promise.reject(new Error('nobody asks')),
    });
    await app.ready();
  });
  afterAll(async () => {
    await app.close();
    await tenants.close();
    await proxy.close();
  });

  const call = async (key: string, url: string, payload: JsonObject, headers = {}): Promise<Answer> => {
    const answer = await app.inject({ method: 'POST', url, payload, headers: { 'x-api-key': key, ...headers } });
    return { status: answer.statusCode, body: answer.json<JsonObject>() };
  };
  const share = async () => {
    const sessionId = await lab.takeIn(userDocument());
    const minted = await call(lab.issuer.key, `/v3/session/${sessionId}/share/`, {
      for_application_id: lab.partner.id,
    });
    const again = { 'idempotency-key': randomUUID() };
    const body = { share_token: String(minted.body['share_token']), trust_review: true };
    return { sessionId, redeem: () => call(lab.partner.key, '/v3/session/import-shared/', body, again) };
  };

  it(`leaves one import at each of ${POINTS} points, which a retry with the key shows`, async () => {
    const whole = await share();
    const before = proxy.sent();
    expect((await whole.redeem()).status).toBe(201);
    const length = proxy.sent() - before;
    let lost = 0;
    let done = 0;
    for (let point = 0; point < POINTS; point += 1) {
      const { sessionId, redeem } = await share();
      // Every fourth at the commit itself: it is done, and nobody here knows.
      if (point % 4 === 0) proxy.cutAtCommitOf('into redemption');
      else proxy.cutAfter(Math.ceil((length * (point + 1)) / POINTS));
      const first = await redeem();
      proxy.cutAfter(Infinity);
      if (first.status !== 201) lost += 1;
      const committed = await lab.rows('select 1 from redemption where source_session_id = $1', [sessionId]);
      if (first.status !== 201 && committed.length === 1) done += 1;
      await expectOneImport(sessionId, first, await retried(redeem));
    }
    expect(lost).toBeGreaterThan(POINTS / 2);
    expect(done).toBeGreaterThanOrEqual(POINTS / 4);
  });
});

describe('a server that is killed between the commit and its reply', () => {
  const servers: ServerProcess[] = [];
  const proxies: PostgresProxy[] = [];
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });

  const start = async () => {
    const proxy = await postgresProxy(lab.database.url);
    proxies.push(proxy);
    const server = await startServerProcess({ databaseUrl: proxy.url, shareTokenKeys: '' });
    servers.push(server);
    return { server, proxy };
  };
  const post = async (
    server: ServerProcess,
    key: string,
    path: string,
    body: JsonObject,
    headers = {},
  ): Promise<Answer> => {
    const answer = await fetch(new URL(path, server.url), {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as JsonObject };
  };

  it(`has its import shown by another one, each of ${KILLS} times`, { timeout: 120_000 }, async () => {
    await lab.rows('delete from signing_key');
    const { server: survivor } = await start();
    const victims = await Promise.all(Array.from({ length: KILLS }, start));
    for (const { server, proxy } of victims) {
      const sessionId = await lab.takeIn(userDocument());
      const minted = await post(survivor, lab.issuer.key, `/v3/session/${sessionId}/share/`, {
        for_application_id: lab.partner.id,
      });
      const body = { share_token: String(minted.body['share_token']), trust_review: true };
      const redeem = (at: ServerProcess, headers: Record<string, string>) =>
        post(at, lab.partner.key, '/v3/session/import-shared/', body, headers);
      const key = { 'idempotency-key': randomUUID() };
      proxy.cutAtCommitOf('into redemption', () => process.kill(server.pid, 'SIGKILL'));
      await expect(redeem(server, key)).rejects.toThrow('fetch failed');
      expect(await server.ended).toBe('signal SIGKILL');

      const again = await retried(() => redeem(survivor, key));
      await expectOneImport(sessionId, null, again);
      // Without the key it is Didit's answer, which names the session.
      expect(await redeem(survivor, {})).toMatchObject({
        status: 403,
        body: { code: 'already_imported', existing_session_id: again.body['session_id'] },
      });
    }
  });
});
