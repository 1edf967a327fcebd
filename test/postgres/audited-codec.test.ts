import { randomBytes, randomUUID } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import { auditedCodec } from '../../src/postgres/audited-codec.ts';
import type { RefusedPayloads } from '../../src/postgres/codec-events.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
const config = { keys: parseKeyRing(`k1:${randomBytes(32).toString('base64url')}`), acceptPlain: false };
const plain = defaultPayloadConverter.toPayload('canary');
let pool: (Tenants & { close(): Promise<void> }) | undefined;
afterAll(() => pool?.close());
beforeEach(() => database.pool.query(`truncate event cascade`));

function open(tenants?: Tenants, collectMs = 60_000) {
  pool ??= createTenants({ databaseUrl: database.url, maxConnections: 2 });
  const logged: Pick<RefusedPayloads, 'reason' | 'workflowId'>[] = [];
  const errors: unknown[] = [];
  const audited = auditedCodec(config, {
    namespace: 'handoff',
    tenants: tenants ?? pool,
    onRefused: (refused) => void logged.push(refused),
    onError: (error) => void errors.push(error),
    collectMs,
  });
  const refuse = (workflowId: string, times = 1) =>
    audited.codec.decode(
      Array.from({ length: times }, () => plain),
      { type: 'workflow', namespace: 'handoff', workflowId },
    );
  return { audited, logged, errors, refuse };
}

const events = async () =>
  (
    await database.pool.query<Record<string, unknown>>(
      `select application_id, subject_id, actor_kind, actor_id, reason from event
       where type = 'temporal.payload_refused' order by created_at, event_id`,
    )
  ).rows;

test('refusals of a run are counted together, and written with its id', async () => {
  const [one, other] = [randomUUID(), randomUUID()];
  const { audited, logged, refuse } = open();
  await refuse(one, 3);
  await refuse(other);
  await refuse(`webhook:${one}:${other}`);
  await refuse(`import:${one}`);
  expect(await events()).toEqual([]);
  expect(logged, 'at once').toEqual(
    [one, other, `webhook:${one}:${other}`, `import:${one}`].map((workflowId) => ({
      reason: 'not_encrypted',
      workflowId,
    })),
  );
  await audited.stop();
  const about = { application_id: PLATFORM_ID, actor_kind: 'system', actor_id: null };
  expect(await events()).toMatchObject([
    { ...about, subject_id: one, reason: 'not_encrypted payloads=3' },
    { ...about, subject_id: other, reason: 'not_encrypted payloads=1' },
    { ...about, subject_id: other, reason: 'not_encrypted payloads=1 run=webhook' },
    { ...about, subject_id: one, reason: 'not_encrypted payloads=1 run=import' },
  ]);
});

test('they are written a little later by themselves, and what nobody refused makes no row', async () => {
  const { audited, refuse } = open(undefined, 10);
  const [payload] = await audited.codec.encode([plain]);
  await audited.codec.decode([payload ?? {}]);
  await refuse(randomUUID());
  await expect.poll(async () => (await events()).length).toBe(1);
  await audited.stop();
  expect(await events()).toHaveLength(1);
});

test('a flood from many runs makes a few rows, and no name that somebody chose is written', async () => {
  const { audited, logged, refuse } = open();
  for (let run = 0; run < 1_000; run += 1) await refuse(run % 2 === 0 ? randomUUID() : `canary of ${run}`);
  await audited.stop();
  const rows = await events();
  expect(rows.length).toBeLessThanOrEqual(21);
  expect(logged).toHaveLength(rows.length);
  const counted = rows.map(({ reason }) => Number(/payloads=(\d+)/.exec(String(reason))?.[1]));
  expect(counted.reduce((sum, payloads) => sum + payloads, 0)).toBe(1_000);
  expect(JSON.stringify([rows, logged])).not.toContain('canary');
});

test('while the database is away nobody who decodes waits or fails, the log tells it, and nothing is lost', async () => {
  const runId = randomUUID();
  let away = true;
  const flaky: Tenants = {
    withTenant: () => Promise.reject(new Error('not here')),
    acrossTenants: (crossing, work) =>
      away || pool === undefined ? Promise.reject(new Error('away')) : pool.acrossTenants(crossing, work),
    close: () => Promise.resolve(),
  };
  const { audited, errors, logged, refuse } = open(flaky, 10);
  await refuse(runId);
  await expect.poll(() => errors.length).toBe(1);
  await refuse(runId);
  expect(logged, 'once, however often it is written').toEqual([{ reason: 'not_encrypted', workflowId: runId }]);
  away = false;
  await audited.stop();
  expect(await events()).toMatchObject([{ subject_id: runId, reason: 'not_encrypted payloads=2' }]);
});
