import { execFile } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { Client } from '@temporalio/client';
import { historyToJSON, type History } from '@temporalio/common/lib/proto-utils.js';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { connectHandoffClient, temporalNamespace } from '../../src/client.ts';
import { startCodecServer, type RunningCodecServer } from '../../src/codec-server.ts';
import { readCodecServerConfig } from '../../src/config.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createTemporalCodec } from '../../src/crypto/temporal-codec.ts';
import { PARTNER_ONBOARDING, SIGNALS, TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import type { Brand } from '../support/brands.ts';
import { NEVER_ENCRYPTED, payloadsOf } from '../support/payloads.ts';
import { expectNoFailedTask, resultOfRun, untilEnded } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const key = () => randomBytes(32).toString('base64url');
const [OLD, NEW] = [`old:${key()}`, `new:${key()}`];
/** The first step of a rotation is done: all know the new key, and none uses it. */
const CODEC_KEYS = `${OLD},${NEW}`;
const stack = handoffStack({ codecKeys: CODEC_KEYS });

/** Somebody who reaches Temporal, and has no key. */
let rogue: Client;
beforeAll(() => {
  const { connection, options } = stack.handoff.temporal;
  rogue = new Client({ connection, namespace: options.namespace });
});

function codecClient(keys: string) {
  const codec = createTemporalCodec({ keys: parseKeyRing(keys), namespace: temporalNamespace() });
  return connectHandoffClient({ codec });
}

async function waiting(): Promise<{ partner: Brand; tokenId: string }> {
  const { brands, issuer, handoff } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await partner.endpoint.heard('share.received', tokenId);
  await expect.poll(async () => (await handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  return { partner, tokenId };
}

const historyOf = (tokenId: string): Promise<History> => rogue.workflow.getHandle(tokenId).fetchHistory();

const refusals = async (workflowId: string) => {
  const { rows } = await stack.database.pool.query<{ reason: string }>(
    `select reason from event where type = 'temporal.payload_refused' and subject_id = $1`,
    [workflowId],
  );
  return rows.map(({ reason }) => reason.split(' ')[0]);
};

describe('with the codec on', () => {
  test('an onboarding runs as ever, and Temporal holds no payload that it can read', async () => {
    const { partner, tokenId } = await waiting();
    expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
    const { history } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
    const payloads = payloadsOf(history);
    const plain = payloads.filter(({ encoding }) => encoding !== 'binary/encrypted');
    expect(plain.filter(({ path }) => !NEVER_ENCRYPTED.test(path))).toEqual([]);
    expect(plain.length).toBeGreaterThan(4);
    // Input, result, summaries, local results, a signal.
    expect(payloads.filter(({ keyId }) => keyId === 'old').length).toBeGreaterThan(8);
    // Its only one is the workflow id.
    const texts = historyToJSON(history);
    expect(texts).not.toContain(Buffer.from(JSON.stringify({ tokenId })).toString('base64').slice(0, 40));
    expect(texts).not.toContain('Mint the share token');
    const described = await rogue.workflow.getHandle(tokenId).describe();
    await expect(described.staticSummary()).rejects.toThrow(/binary\/encrypted/);
    const ours = await stack.handoff.temporal.workflow.getHandle(tokenId).describe();
    expect(await ours.staticSummary()).toBe('Hand over a person (KYC)');
    expect(await refusals(tokenId)).toEqual([]);
  });

  test('a failure is encrypted, with its message', async () => {
    const { partner, tokenId } = await waiting();
    const { pool } = stack.database;
    await pool.query(
      `create function planted() returns trigger language plpgsql as
         $$ begin raise exception 'canary-of-a-failure' using errcode = 'ZX999'; end $$;
       create trigger planted before insert on redemption for each row execute function planted()`,
    );
    const pending = async () => {
      const { raw } = await rogue.workflow.getHandle(tokenId).describe();
      return JSON.stringify((raw.pendingActivities ?? []).map(({ lastFailure }) => lastFailure));
    };
    try {
      expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
      await expect.poll(pending, { timeout: 30_000 }).toContain('Encoded failure');
      expect(await pending()).not.toContain('ZX999');
    } finally {
      await pool.query('drop trigger planted on redemption');
    }
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
    const text = historyToJSON(await historyOf(tokenId));
    expect(text).toContain('Encoded failure');
    expect(text).not.toMatch(/ZX999|canary-of-a-failure|DatabaseError/);
  });

  test('a message of somebody who has no key wakes the run, does no more, and is audited', async () => {
    const { partner, tokenId } = await waiting();
    const run = rogue.workflow.getHandle(tokenId);
    await run.signal(SIGNALS.partnerAcknowledged, randomUUID());
    for (const payload of [
      { metadata: { encoding: Buffer.from('binary/encrypted') }, data: randomBytes(60) },
      {
        metadata: {
          encoding: Buffer.from('binary/encrypted'),
          'encryption-key-id': Buffer.from('old'),
          'encryption-namespace': Buffer.from(temporalNamespace()),
        },
        data: randomBytes(60),
      },
      {},
    ]) {
      await rogue.connection.workflowService.signalWorkflowExecution({
        namespace: temporalNamespace(),
        workflowExecution: { workflowId: tokenId },
        signalName: SIGNALS.tokenRedeemed,
        input: { payloads: [payload] },
      });
    }
    await expect
      .poll(async () => new Set(await refusals(tokenId)), { timeout: 20_000 })
      .toEqual(new Set(['altered', 'not_encrypted', 'other_namespace']));
    expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });

  test('a run that somebody without a key starts ends, and touches nothing', async () => {
    const { partner, tokenId } = await waiting();
    for (const args of [[{ tokenId }], [], ['x']]) {
      const start = { workflowId: randomUUID(), taskQueue: TASK_QUEUES.onboarding, args };
      const run = await rogue.workflow.start(PARTNER_ONBOARDING, start);
      const ours = stack.handoff.temporal.workflow.getHandle(run.workflowId);
      expect(await ours.result()).toEqual({ status: 'rejected', reason: 'unknown_onboarding' });
      expectNoFailedTask(await ours.fetchHistory());
    }
    expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });

  test('a step that somebody completes by hand without a key is made again', async () => {
    const { brands, issuer, handoff } = stack;
    await stack.stopWorker('webhooks');
    const partner = await brands.add();
    const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
    const run = handoff.temporal.workflow.getHandle(tokenId);
    const pending = async () => (await run.describe()).raw.pendingActivities?.[0]?.activityId;
    await expect.poll(pending).toEqual(expect.any(String));
    await rogue.activity.complete({ workflowId: tokenId, activityId: String(await pending()) }, { pending: 0 });
    await expect.poll(() => refusals(tokenId), { timeout: 20_000 }).toEqual(['not_encrypted']);
    await stack.startWorker('webhooks');
    await partner.endpoint.heard('share.received', tokenId);
    expect((await brands.acknowledge(partner, tokenId)).status).toBe(200);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });
});

describe('keys are rotated', () => {
  test('while runs are open: their first payloads are of the old key, their last of the new one', async () => {
    const { partner, tokenId } = await waiting();
    for (const role of ['onboarding', 'webhooks'] as const) {
      await stack.stopWorker(role);
      await stack.startWorker(role, { TEMPORAL_CODEC_KEYS: `${NEW},${OLD}` });
    }
    expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
    const { history } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
    const kids = new Set(payloadsOf(history).map(({ keyId }) => keyId));
    expect([...kids].sort()).toEqual(['', 'new', 'old']);
    expect(await refusals(tokenId)).toEqual([]);
  });

  test('too early, and an open run stands still until its key is back', async () => {
    const { partner, tokenId } = await waiting();
    await stack.stopWorker('onboarding');
    // The run's task fails, and the SDK says so.
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    await stack.startWorker('onboarding', { TEMPORAL_CODEC_KEYS: NEW });
    expect((await stack.brands.acknowledge(partner, tokenId)).status).toBe(200);
    await expect.poll(() => refusals(tokenId), { timeout: 20_000 }).toContain('unknown_key');
    await stack.stopWorker('onboarding');
    warn.mockRestore();
    await stack.startWorker('onboarding');
    expect(await untilEnded(stack.brands, partner, tokenId)).toMatchObject({ status: 'imported' });
    expect(await resultOfRun(stack.handoff.temporal, tokenId)).toMatchObject({ status: 'imported' });
  });
});

test('a run that cannot read its own input ends, and the relay closes its row', async () => {
  const { brands, issuer, database } = stack;
  const partner = await brands.add();
  await stack.stopWorker('onboarding');
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  // As the worker did that was there before.
  const run = { tokenId, issuerId: issuer.id, partnerId: partner.id, sessionKind: 'user' } as const;
  expect(await stack.handoff.startOnboarding(run)).toBe('started');
  await stack.startWorker('onboarding', { TEMPORAL_CODEC_KEYS: NEW });
  const reader = codecClient(NEW);
  const result = await reader.temporal.workflow.getHandle(tokenId).result();
  expect(result).toEqual({ status: 'rejected', reason: 'unknown_onboarding' });
  await reader.close();
  await database.pool.query(`update onboarding set checked_at = handoff_now() - interval '1 hour'`);
  expect(await untilEnded(brands, issuer, tokenId)).toMatchObject({ status: 'revoked', reason: 'run_failed' });
  // A worker that ends writes down what it has counted.
  await stack.stopWorker('onboarding');
  await stack.startWorker('onboarding');
  expect(await refusals(tokenId)).toEqual(['unknown_key']);
});

describe('the codec server', () => {
  const token = key();
  let server: RunningCodecServer;
  beforeAll(async () => {
    const config = readCodecServerConfig({
      ...stack.env,
      TEMPORAL_CODEC_KEYS: CODEC_KEYS,
      CODEC_UI_ORIGIN: 'http://127.0.0.1:8233',
      CODEC_OPERATORS: `ada:${createHash('sha256').update(token).digest('hex')}`,
      CODEC_PORT: '0',
    });
    if ('problems' in config) throw new Error(config.problems.join('\n'));
    server = await startCodecServer(config, pino({ level: 'silent' }));
  });
  afterAll(() => server.close());

  const temporal = (...args: string[]) =>
    promisify(execFile)(inject('temporalCliPath'), [
      'workflow',
      ...args,
      '--address',
      process.env['TEMPORAL_ADDRESS'] ?? '',
      '--namespace',
      temporalNamespace(),
    ]).catch((error: unknown) => error as { stdout: string; stderr: string; code: number });

  test('shows an operator of Temporal’s command line what is encrypted, and nobody else', async () => {
    expect(new URL(server.url).hostname).toBe('127.0.0.1');
    const { tokenId } = await waiting();
    const show = ['show', '--workflow-id', tokenId, '--output', 'json'];
    const encrypted = await temporal(...show);
    expect(encrypted.stdout).not.toContain(Buffer.from(JSON.stringify({ tokenId })).toString('base64'));
    const known = await temporal(...show, '--codec-endpoint', server.url, '--codec-auth', `Bearer ${token}`);
    expect(known.stderr).toBe('');
    expect(known.stdout).toContain(tokenId);
    expect(known.stdout).toContain(Buffer.from(JSON.stringify({ tokenId })).toString('base64'));
    // It tries again and again, and does not say that it was answered 401.
    const unknown = await temporal(...show, '--codec-endpoint', server.url, '--command-timeout', '2s');
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    for (const authorization of ['', `Bearer ${key()}`]) {
      const headers = { authorization, 'x-namespace': temporalNamespace(), 'content-type': 'application/json' };
      const answer = await fetch(`${server.url}/decode`, { method: 'POST', headers, body: '{"payloads":[]}' });
      expect(answer.status).toBe(401);
    }
    const { rows } = await stack.database.pool.query<{ actor_id: string; reason: string }>(
      `select actor_id, reason from event where type = 'temporal.decoded'`,
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row.actor_id).toBe('ada');
      expect(row.reason).toMatch(new RegExp(`^payloads=[1-9]\\d* namespace=${temporalNamespace()}$`));
    }
  });
});
