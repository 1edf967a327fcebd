import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Brand } from '../support/brands.ts';
import { shiftClock } from '../support/database.ts';
import type { ScriptedEndpoint } from '../support/scripted-partner.ts';
import { userDocument } from '../support/share-lab.ts';
import { handoffStack, type WorkerRole } from '../support/stack.ts';
import { startServerProcess, startWorkerProcess, type OwnProcess } from '../support/worker-process.ts';

type Role = 'server' | WorkerRole;

/** Who is killed in which round, while calls are made; the others live on. */
const ROUNDS: readonly (readonly Role[])[] = [
  ['server', 'onboarding', 'webhooks'],
  ['server', 'onboarding'],
];
/** Calls that are answered in a round before its last kill, or a few more. */
const CALLS = 100;
const CALLERS = 8;

const stack = handoffStack({ workers: [] });
const running = new Map<Role, OwnProcess>();
afterAll(() => Promise.all([...running.values()].map((process) => process.stop())));

/** Starts the processes that do not run, and waits until each takes work. */
async function startAll(): Promise<{ apiUrl: string }> {
  const env = { ...stack.env, LOG_LEVEL: 'error' };
  const starting = (['onboarding', 'webhooks'] as const).map(async (role) => {
    if (running.has(role)) return;
    const port = await freePort();
    running.set(role, await startWorkerProcess(role, { ...env, HEALTH_PORT: String(port) }));
    const healthy = () =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    // Its sender or relay is at work before.
    await expect.poll(healthy, { timeout: 60_000, interval: 100 }).toBe(true);
  });
  const server = await startServerProcess(env);
  running.set('server', server);
  await Promise.all(starting);
  return { apiUrl: server.url };
}

/** Ends a process as a power cut does. */
async function kill(role: Role): Promise<void> {
  const process = running.get(role);
  running.delete(role);
  await process?.kill();
}

let issuer: Brand;
let partner: Brand;
/** Where each destination receives. */
const endpoints = new Map<string, ScriptedEndpoint>();
beforeAll(async () => {
  [issuer, partner] = [stack.issuer, await stack.brands.add()];
  const second = stack.receiver.endpoint('second');
  const made = await stack.brands.done(partner, 'POST', '/v3/webhook/destinations/', {
    url: second.url,
    subscribed_events: ['status.updated'],
  });
  endpoints.set(String(made['uuid']), second);
  for (const { destinationId, endpoint } of [issuer, partner]) endpoints.set(String(destinationId), endpoint);
});

/** Events that an answered call made for sure: each by its type and the session or token that it is about. */
const promised: (readonly [type: string, id: string])[] = [];

/** Takes in a session, shares it and imports it, again and again until the server does not answer any more. */
async function work(apiUrl: string): Promise<void> {
  const call = async (as: Brand, path: string, body: JsonObject): Promise<JsonObject> => {
    const response = await fetch(new URL(path, apiUrl), {
      method: 'POST',
      headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as JsonObject;
    expect([200, 201], `${path} ${JSON.stringify(answer)}`).toContain(response.status);
    return answer;
  };
  for (;;) {
    try {
      const taken = await call(issuer, '/v1/sessions/', userDocument());
      const path = `/v3/session/${String(taken['session_id'])}/share/`;
      const { share_token } = await call(issuer, path, { for_application_id: partner.id });
      const text = String(share_token);
      const claims = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
      promised.push(['share.minted', claims.jti]);
      const imported = await call(partner, '/v3/session/import-shared/', { share_token: text, trust_review: true });
      promised.push(['share.imported', claims.jti], ['status.updated', String(imported['session_id'])]);
    } catch (error) {
      // The server was killed; anything else is a fault.
      if (error instanceof TypeError || error instanceof SyntaxError) return;
      throw error;
    }
  }
}

/** Lets some first attempts fail, so that a run has to go on with the delivery. */
const someFailOnce: ScriptedEndpoint['script'] = ({ body }, nth) =>
  nth === 1 && /[01]$/.test(String(body['event_id'])) ? 500 : 204;

test('no event without its deliveries, no delivery without its event, whatever is killed', async () => {
  for (const [round, roles] of ROUNDS.entries()) {
    const { apiUrl } = await startAll();
    // In the last round, which the webhooks worker survives: Temporal misses an attempt of a run only after 30 s.
    if (round === ROUNDS.length - 1) for (const endpoint of endpoints.values()) endpoint.script = someFailOnce;
    const before = promised.length;
    const callers = Array.from({ length: CALLERS }, () => work(apiUrl));
    const killed = roles.map(async (role) => {
      const calls = role === 'server' ? CALLS : Math.random() * CALLS;
      while (promised.length < before + calls) await pause(5);
      await kill(role);
    });
    await Promise.all([...callers, ...killed]);
    // What a killed sender held is given up.
    if (roles.includes('webhooks')) await shiftClock(stack.database.pool, '1 minute');
  }
  await startAll();
  const unfinished = async () => {
    const { rows } = await stack.database.pool.query<{ count: number }>(
      `select (select count(*) from outbox)::int + (select count(*) from delivery where ended_at is null)::int as count`,
    );
    return rows[0]?.count;
  };
  await expect.poll(unfinished, { timeout: 30_000, interval: 200 }).toBe(0);

  const { rows: deliveries } = await stack.database.pool.query<{
    pair: string;
    state: string;
    owner: string;
    type: string;
    about: string[];
  }>(
    `select e.event_id || ' ' || d.destination_id as pair, d.state, d.owner, e.type,
       array[e.session_id::text, e.token_id::text] as about
     from delivery d join event e using (event_id) where e.type not like 'webhook.%'`,
  );
  const { rows: expected } = await stack.database.pool.query<{ pair: string }>(
    `select e.event_id || ' ' || d.destination_id as pair from event e
     join webhook_destination d on d.application_id = e.application_id and e.type = any (d.subscribed_events)
     where e.type not like 'webhook.%'`,
  );
  expect(deliveries.map(({ pair }) => pair).sort()).toEqual(expected.map(({ pair }) => pair).sort());
  expect(deliveries.filter(({ state }) => state !== 'delivered')).toEqual([]);
  expect(new Set(deliveries.map(({ owner }) => owner))).toEqual(new Set(['sender', 'run']));

  const received = new Set(
    [...endpoints].flatMap(([destinationId, endpoint]) =>
      endpoint.received.map(({ body }) => `${String(body['event_id'])} ${destinationId}`),
    ),
  );
  expect(deliveries.filter(({ pair }) => !received.has(pair))).toEqual([]);

  const told = new Set(deliveries.flatMap(({ type, about }) => about.map((id) => `${type} ${id}`)));
  expect(promised.filter(([type, id]) => !told.has(`${type} ${id}`))).toEqual([]);
}, 90_000);
