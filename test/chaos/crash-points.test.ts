import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Death } from '../../chaos/arm/armed.ts';
import { CHANGES } from '../../chaos/arm/changes.ts';
import { armTemporalCalls } from '../../chaos/arm/temporal-calls.ts';
import { arming, CRASH_POINTS, readDeath, REPLIES, type Arming } from '../../chaos/crash-points.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../support/brands.ts';
import { handoffStack, type WorkerRole } from '../support/stack.ts';
import { startServerProcess, startWorkerProcess, type OwnProcess } from '../support/worker-process.ts';

const stack = handoffStack({ workers: [] });
const folder = mkdtempSync(join(tmpdir(), 'handoff-crash-points-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let running: OwnProcess | undefined;
afterEach(async () => {
  await running?.kill();
  running = undefined;
});

interface Armed {
  readonly url: string;
  /** Waits for the process to die, and expects that it died of its point. */
  readonly dead: () => Promise<Death>;
}

async function armed(what: 'server' | WorkerRole, point: Omit<Arming, 'report'>): Promise<Armed> {
  const report = join(folder, randomUUID());
  const env = { ...stack.env, LOG_LEVEL: 'error', ...arming({ ...point, report }) };
  const made = what === 'server' ? await startServerProcess(env) : await startWorkerProcess(what, env);
  running = made;
  return {
    url: 'url' in made ? (made.url as string) : '',
    dead: async () => {
      expect(await made.ended).toBe('signal SIGKILL');
      const death = readDeath(report);
      expect(death).toMatchObject({ point: point.point, pid: made.pid });
      return death as Death;
    },
  };
}

const post = (url: string, as: Brand, path: string, body: JsonObject, key: string = randomUUID()) =>
  fetch(new URL(path, url), {
    method: 'POST',
    headers: { 'x-api-key': as.key, 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });

const count = async (text: string, ...values: string[]) =>
  (await stack.database.pool.query<{ n: number }>(`select count(*)::int as n from ${text}`, values)).rows[0]?.n;

let partner: Brand;
beforeAll(async () => {
  partner = await stack.brands.add();
});
const takeIn = () => stack.brands.takeIn(stack.issuer, 'kyc-approved');

describe('a server that is armed', () => {
  const mint = (url: string, sessionId: string, key?: string) =>
    post(url, stack.issuer, `/v3/session/${sessionId}/share/`, { for_application_id: partner.id }, key);

  test.for([
    ['mint:before-commit', 0],
    ['mint:after-commit', 1],
  ] as const)('dies at %s, with %d token(s) in the database', async ([point, tokens]) => {
    const server = await armed('server', { point });
    const sessionId = await takeIn();
    await expect(mint(server.url, sessionId)).rejects.toThrow('fetch failed');
    const { about } = await server.dead();
    expect(about).toContain(sessionId);
    const there = () => count('share_token where session_id = $1', sessionId);
    await expect.poll(there).toBe(tokens);
  });

  test('dies at its reply to one request alone, which is done', async () => {
    const key = randomUUID();
    const server = await armed('server', { point: REPLIES.mint, only: key });
    expect((await mint(server.url, await takeIn())).status).toBe(201);
    const sessionId = await takeIn();
    await expect(mint(server.url, sessionId, key)).rejects.toThrow('fetch failed');
    await server.dead();
    expect(await count('share_token where session_id = $1', sessionId)).toBe(1);
  });

  test('dies the second time it comes to a point, and not for what is refused', async () => {
    const server = await armed('server', { point: REPLIES.mint, nth: 2 });
    expect((await mint(server.url, randomUUID())).status).toBe(404);
    expect((await mint(server.url, await takeIn())).status).toBe(201);
    await expect(mint(server.url, await takeIn())).rejects.toThrow('fetch failed');
    await server.dead();
  });
});

describe('a worker that is armed', () => {
  test.for([
    ['webhook:before-send', 0],
    ['webhook:after-answer', 1],
  ] as const)('dies at %s, with %d webhook(s) received and none recorded', async ([point, received]) => {
    const { issuer } = stack;
    const path = `/v3/session/${await takeIn()}/share/`;
    await stack.brands.done(issuer, 'POST', path, { for_application_id: partner.id });
    const { rows } = await stack.database.pool.query<{ event: string; token: string }>(
      `select event_id as event, token_id as token from event where type = 'share.minted' and application_id = $1
       order by event_id desc limit 1`,
      [issuer.id],
    );
    const { event = '', token = '' } = rows[0] ?? {};
    // Whatever others left to be sent is theirs.
    const worker = await armed('webhooks', { point, only: event });
    expect((await worker.dead()).about).toContain(event);
    expect(issuer.endpoint.all('share.minted', token)).toHaveLength(received);
    expect(await count('delivery where event_id = $1 and ended_at is null and attempts = 1', event)).toBe(1);
  });

  test("dies after an activity's effect, and says of which run", async () => {
    await stack.brands.open(stack.issuer, partner, await takeIn());
    const worker = await armed('onboarding', { point: 'mintShareToken:after' });
    // Or of one that an earlier death left.
    const { about } = await worker.dead();
    expect(about).toHaveLength(1);
    expect(await count('share_token where token_id = $1', about[0] ?? '')).toBe(1);
  });
});

test("a client's call to Temporal is met before it is made, and once it is done", async () => {
  const run = () => ({
    tokenId: randomUUID(),
    issuerId: stack.issuer.id,
    partnerId: partner.id,
    sessionKind: 'user' as const,
  });
  const met: string[] = [];
  armTemporalCalls({ point: 'start-workflow:after', reached: (about) => void met.push(...about) });
  const [done, never] = [run(), run()];
  await stack.handoff.startOnboarding(done);
  expect(met).toEqual([expect.stringContaining(done.tokenId)]);
  armTemporalCalls({
    point: 'start-workflow:before',
    reached: () => {
      throw new Error('dead');
    },
  });
  await expect(stack.handoff.startOnboarding(never)).rejects.toThrow('dead');
  expect(await stack.handoff.describeOnboarding(done.tokenId)).toBe('running');
  expect(await stack.handoff.describeOnboarding(never.tokenId)).toBe('unknown');
});

test('each point is listed once, and so is each transaction that a process may be killed around', () => {
  const names = CRASH_POINTS.map(({ kind, point }) => `${kind} ${point}`);
  expect(new Set(names).size).toBe(names.length);
  const around = CRASH_POINTS.flatMap(({ point }) => (point.endsWith('-commit') ? point.split(':').slice(0, 1) : []));
  expect([...new Set(around)].sort()).toEqual(Object.keys(CHANGES).sort());
});
