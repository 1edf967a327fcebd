import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../support/brands.ts';
import { testKey } from '../support/app-parts.ts';
import { runOwnCommand } from '../support/own-command.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();
let servers: ServerProcess[] = [];
beforeAll(async () => {
  const { env, database, shareTokenKeys } = stack;
  const start = () =>
    startServerProcess({
      databaseUrl: database.url,
      shareTokenKeys,
      temporalAddress: env['TEMPORAL_ADDRESS'] ?? '',
    });
  servers = await Promise.all([start(), start()]);
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

const keys = (...args: string[]) => runOwnCommand('keys.ts', [...args, '--by', 'test'], stack.env);
const post = async (server: number, as: Brand, path: string, body: JsonObject) => {
  const answer = await fetch(new URL(path, servers[server % servers.length]?.url), {
    method: 'POST',
    headers: { 'x-api-key': as.key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as JsonObject };
};
const kidOf = (token: unknown) =>
  String((JSON.parse(Buffer.from(String(token).split('.')[0] ?? '', 'base64url').toString()) as JsonObject)['kid']);
const states = async () => {
  const { rows } = await stack.database.pool.query<{ kid: string; state: string }>(
    'select kid, state from signing_key',
  );
  return Object.fromEntries(rows.map(({ kid, state }) => [kid, state]));
};
const activeKid = async () => Object.entries(await states()).find(([, state]) => state === 'active')?.[0] ?? '';

/** Mints at one server and imports at the other, over and over, until it is stopped; some tokens wait a while between. */
function handOverContinuously(partner: Brand) {
  const { brands, issuer } = stack;
  const seen: { kid: string; minted: number; imported: number | null; code: unknown }[] = [];
  const waiting: Promise<void>[] = [];
  const stopping = new AbortController();
  const importLater = async (nth: number, token: unknown, afterMs: number) => {
    const one = { kid: kidOf(token), minted: 201, imported: null as number | null, code: undefined as unknown };
    seen.push(one);
    await pause(afterMs);
    const answer = await post(nth + 1, partner, '/v3/session/import-shared/', { share_token: String(token) });
    Object.assign(one, { imported: answer.status, code: answer.body['code'] });
  };
  const worker = async (start: number) => {
    for (let nth = start; !stopping.signal.aborted; nth += 2) {
      const sessionId = await brands.takeIn(issuer, 'kyc-approved');
      const minted = await post(nth, issuer, `/v3/session/${sessionId}/share/`, { for_application_id: partner.id });
      if (minted.status !== 201)
        seen.push({ kid: '', minted: minted.status, imported: null, code: minted.body['code'] });
      else waiting.push(importLater(nth, minted.body['share_token'], nth % 3 === 0 ? 2_500 : 0));
      await pause(20);
    }
  };
  const workers = [worker(0), worker(1)];
  return {
    seen,
    stop: async () => {
      stopping.abort();
      await Promise.all(workers);
      await Promise.all(waiting);
    },
  };
}

it('keys rotate under load without one refused token, and the deliveries of tokens go on', async () => {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  const first = await activeKid();
  const load = handOverContinuously(partner);
  // Its delivery is tried again with the key that signed it, after that has retired.
  let refusing = true;
  partner.endpoint.script = ({ type }) => (refusing && type === 'share.received' ? 503 : 204);
  const early = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await partner.endpoint.heard('share.received', early);

  const rotated = await keys('rotate');
  expect(rotated).toMatchObject({ code: 0, stderr: '' });
  const second = await activeKid();
  expect(rotated.stdout).toContain(`${second} signs\n${first} verifies for another 24 hours`);
  expect(await states()).toEqual({ [first]: 'retiring', [second]: 'active' });
  refusing = false;
  const late = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await pause(1_000);
  await load.stop();

  expect(load.seen.filter(({ minted, imported }) => minted !== 201 || imported !== 201)).toEqual([]);
  const byKey = Map.groupBy(load.seen, ({ kid }) => kid);
  expect([...byKey.keys()].toSorted()).toEqual([first, second].toSorted());
  for (const some of byKey.values()) expect(some.length).toBeGreaterThan(5);

  for (const [tokenId, kid] of [
    [early, first],
    [late, second],
  ] as const) {
    const delivered = await expect
      .poll(() => partner.endpoint.all('share.received', tokenId).at(-1)?.body['share_token'], { timeout: 30_000 })
      .toBeTypeOf('string')
      .then(() => partner.endpoint.all('share.received', tokenId).at(-1)?.body['share_token']);
    expect(kidOf(delivered)).toBe(kid);
    const imported = await post(0, partner, '/v3/session/import-shared/', { share_token: String(delivered) });
    expect(imported.status).toBe(201);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  }
});

it('a removed key’s tokens are refused by every process at once, its runs end as revoked, and another key signs', async () => {
  const { brands, issuer } = stack;
  const [partner, sister] = [await brands.add(), await brands.add()];
  await brands.connect(issuer, sister, { acceptance: 'automatic' });
  const leaked = await activeKid();
  const mint = async () => {
    const sessionId = await brands.takeIn(issuer, 'kyc-approved');
    const minted = await post(0, issuer, `/v3/session/${sessionId}/share/`, { for_application_id: partner.id });
    return String(minted.body['share_token']);
  };
  const [warm, plain] = [await mint(), await mint()];
  const redeem = (server: number, token: string) =>
    post(server, partner, '/v3/session/import-shared/', { share_token: token });
  expect((await redeem(1, warm)).status).toBe(201);
  const waiting = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await partner.endpoint.heard('share.received', waiting);
  // Its import waits for a worker.
  await stack.stopWorker('onboarding');
  const unminted = await brands.open(issuer, sister, await brands.takeIn(issuer, 'kyc-approved'));

  const removed = await keys('remove', leaked);
  expect(removed).toMatchObject({ code: 0, stderr: '' });
  const next = await activeKid();
  expect(next).not.toBe(leaked);
  expect(removed.stdout).toContain(`${leaked} is removed: its tokens are refused; ${next} signs`);
  for (const server of [0, 1]) {
    expect(await redeem(server, plain)).toMatchObject({ status: 401, body: { code: 'share_token_invalid' } });
  }
  expect(kidOf(await mint())).toBe(next);
  await stack.startWorker('onboarding');
  await stack.expectEnding(partner, waiting, { status: 'revoked', reason: 'signing_key_removed' });
  await stack.expectEnding(sister, unminted, { status: 'imported' });

  expect((await keys('remove', leaked)).stdout).toContain(`${leaked} was removed before\n0 open tokens`);
  const status = await keys('status');
  expect(status.stdout).toMatch(new RegExp(`^key +state +since +open tokens\n${next} +active .* 1\n`));
  expect(status.stdout).toMatch(new RegExp(`${leaked} +removed +\\S+ +0\n`));
});

it('what was stored plain is sealed by a command of its own alone, which explains itself and asks', async () => {
  const { pool } = stack.database;
  const { rows: made } = await pool.query<{ id: string }>(
    `insert into account (account_id, email_index, email)
     values (gen_random_uuid(), '\\x01', '\\x00'::bytea || convert_to('"some@body.example"', 'UTF8')) returning account_id as id`,
  );
  const isPlain = async () => {
    const { rows } = await pool.query<{ plain: boolean }>(
      'select get_byte(email, 0) = 0 as plain from account where account_id = $1',
      [made[0]?.id],
    );
    return rows[0]?.plain;
  };
  expect((await keys('status')).stdout).toMatch(/CONTENT_ENCRYPTION_KEYS +plain +1 +not sealed, so never read/);
  const rewrapped = await keys('rewrap');
  expect(rewrapped.code).toBe(1);
  expect(rewrapped.stdout).toContain(`no key opens account.email of ${made[0]?.id}`);
  const asked = await keys('adopt-plain');
  expect(asked.code).toBe(1);
  expect(asked.stdout).toContain('with every process stopped');
  expect(asked.stderr).toContain('nothing was changed: add --yes to do it');
  expect(await isPlain()).toBe(true);
  expect(await keys('adopt-plain', '--yes')).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('0 sessions and 1 rows besides are sealed') as string,
  });
  expect(await isPlain()).toBe(false);
  const { rows: told } = await pool.query(
    `select actor_id, reason from event where type = 'storage.plain_adopted' order by created_at, event_id`,
  );
  expect(told).toEqual([
    { actor_id: 'test', reason: 'begun' },
    { actor_id: 'test', reason: 'sessions=0 rows=1' },
  ]);
});

it('names what is wrong, and says how to do it', async () => {
  for (const [args, code, said] of [
    [[], 2, 'name what to do'],
    [['burn'], 2, 'Usage:'],
    [['remove'], 2, 'name the key to remove'],
    [['rotate', 'x'], 2, 'rotate takes nothing more'],
    [['status', '--loud'], 2, '--loud'],
    [['rewrap', '--yes'], 2, 'rewrap takes no --yes'],
    [['remove', 'nothing'], 1, 'there is no key nothing: see status'],
  ] as const) {
    const outcome = await runOwnCommand('keys.ts', args, stack.env);
    expect({ args, code: outcome.code }).toEqual({ args, code });
    expect(outcome.stderr).toContain(said);
    expect(outcome.stderr).not.toMatch(/^ {4}at /m);
  }
  const away = { ...stack.env, DATABASE_URL: 'postgres://handoff@127.0.0.1:1/handoff' };
  expect(await runOwnCommand('keys.ts', ['status'], away)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('DATABASE_URL refused it or cannot be reached (ECONNREFUSED)') as string,
  });
  const bare = await runOwnCommand('keys.ts', ['status'], { PATH: process.env['PATH'] });
  expect(bare.code).toBe(1);
  expect(
    bare.stderr
      .split('\n')
      .filter((line) => line.startsWith('handoff: '))
      .map((line) => line.split(' ')[1]),
  ).toEqual(expect.arrayContaining(['DATABASE_URL', 'KEY_ENCRYPTION_KEYS', 'CONTENT_ENCRYPTION_KEYS']));
});

it('everything is sealed anew with the first key of its ring, and the status says what can leave', async () => {
  const { KEY_ENCRYPTION_KEYS: secrets = '', CONTENT_ENCRYPTION_KEYS: content = '' } = stack.env;
  const env = {
    ...stack.env,
    KEY_ENCRYPTION_KEYS: `next:${testKey(41)},${secrets}`,
    CONTENT_ENCRYPTION_KEYS: `next:${testKey(42)},${content}`,
  };
  const before = await runOwnCommand('keys.ts', ['status'], env);
  expect(before.stdout).toMatch(/KEY_ENCRYPTION_KEYS +next +0 +seals/);
  expect(before.stdout).toMatch(/KEY_ENCRYPTION_KEYS +test-1 +[1-9]\d* +only opens: rewrap/);
  // They would go on sealing with the first key that they know.
  await Promise.all([stack.stopWorker('onboarding'), stack.stopWorker('webhooks')]);
  const rewrapped = await runOwnCommand('keys.ts', ['rewrap', '--by', 'ada'], env);
  expect(rewrapped).toMatchObject({ code: 0, stderr: '' });
  expect(rewrapped.stdout).toMatch(/signing_key\.sealed: (\d+) of \1\n/);
  expect(rewrapped.stdout).toContain('Nothing is under another key than the first of its ring\n');
  for (const setting of ['CONTENT_ENCRYPTION_KEYS', 'KEY_ENCRYPTION_KEYS']) {
    expect(rewrapped.stdout).toContain(
      `${setting}: next seals everything\n${setting}: nothing is under test-1, which can leave, or, if it is a new one, has to be put first\n`,
    );
  }
  const { rows: told } = await stack.database.pool.query(
    `select actor_id, reason from event where type = 'storage.rewrapped' and actor_id = 'ada' order by created_at, event_id`,
  );
  expect(told).toEqual([
    { actor_id: 'ada', reason: 'begun' },
    { actor_id: 'ada', reason: expect.stringMatching(/^rows=[1-9]\d*$/) as string },
  ]);
  const after = await runOwnCommand('keys.ts', ['status'], env);
  for (const setting of ['CONTENT_ENCRYPTION_KEYS', 'KEY_ENCRYPTION_KEYS']) {
    expect(after.stdout).toMatch(new RegExp(`${setting} +test-1 +0 +can leave the ring`));
  }
});
