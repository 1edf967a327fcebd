import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { activityInfo } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectHandoffClient, type HandoffClient, type WebhookDeliveryRun } from '../../src/client.ts';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { TASK_QUEUES, webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import type { AttemptResult } from '../../src/workflows/activity-types.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { logUnexpectedWarnings } from '../support/workflow-logs.ts';

/* On a server of its own, set as `docker/temporal-dynamicconfig.yaml` sets it: a time-skipping one drops priorities. */

const folder = mkdtempSync(join(tmpdir(), 'handoff-fairness-'));
const namespace = 'default';
let temporal: DevTemporal;
let connection: NativeConnection;
let client: HandoffClient;
beforeAll(async () => {
  logUnexpectedWarnings(/^No activities registered/);
  temporal = await startDevTemporal({
    binary: inject('temporalCliPath'),
    headless: true,
    logFile: join(folder, 'temporal.log'),
    dynamicConfig: {
      'matching.enableFairness': 'true',
      // One order for the whole queue.
      'matching.numTaskqueueReadPartitions': '1',
      'matching.numTaskqueueWritePartitions': '1',
    },
  });
  process.env['TEMPORAL_ADDRESS'] = temporal.address;
  process.env['TEMPORAL_NAMESPACE'] = namespace;
  connection = await NativeConnection.connect({ address: temporal.address });
  client = connectHandoffClient();
});
afterAll(async () => {
  await client.close();
  await connection.close();
  await temporal.stop();
  rmSync(folder, { recursive: true });
});

const runOf = (applicationId: string): WebhookDeliveryRun => ({
  deliveryId: randomUUID(),
  eventId: randomUUID(),
  destinationId: randomUUID(),
  applicationId,
  delayMs: 1,
});
const idOf = ({ eventId, destinationId }: WebhookDeliveryRun) => webhookDeliveryWorkflowId(eventId, destinationId);

/** Attempts that a run or onboarding has scheduled. */
async function scheduled(workflowId: string) {
  const { events } = await client.temporal.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: attempt }) => attempt ?? []);
}

/** A worker with these activities, of which it does one at a time. */
async function working(taskQueue: string, activities: object, until: () => Promise<void>): Promise<void> {
  const workflowBundle = { codePath: inject('bundlePath') };
  const options = { connection, namespace, taskQueue, workflowBundle, activities };
  const worker = await Worker.create({ ...options, maxConcurrentActivityTaskExecutions: 1 });
  await worker.runUntil(until);
}

test('an application with few deliveries does not wait behind another with many', async () => {
  const [busy, quiet] = [randomUUID(), randomUUID()];
  const ofBusy = Array.from({ length: 60 }, () => runOf(busy));
  const ofQuiet = Array.from({ length: 3 }, () => runOf(quiet));
  const all = [...ofBusy, ...ofQuiet];

  // Without activities: every attempt is in the queue, the many first, before anybody takes one.
  await working(TASK_QUEUES.webhooks, {}, async () => {
    for (const run of all) await client.startWebhookDelivery(run);
    for (const run of all) await expect.poll(() => scheduled(idOf(run)), { timeout: 20_000 }).toHaveLength(1);
  });
  const order: string[] = [];
  const owner = new Map(all.map((run) => [idOf(run), run.applicationId]));
  const attemptDelivery = (): Promise<AttemptResult> => {
    order.push(owner.get(activityInfo().workflowExecution?.workflowId ?? '') ?? 'nobody');
    return Promise.resolve({ ended: true, state: 'delivered' });
  };
  await working(TASK_QUEUES.webhooks, { attemptDelivery }, async () => {
    for (const run of all) expect(await client.temporal.workflow.getHandle(idOf(run)).result()).toBe('delivered');
  });
  expect(order).toHaveLength(all.length);
  // In turns: busy, quiet, busy, quiet, …
  expect(order.lastIndexOf(quiet)).toBeLessThan(20);

  const [run] = ofQuiet;
  const handle = client.temporal.workflow.getHandle(idOf(run ?? runOf(quiet)));
  expect((await handle.describe()).priority).toMatchObject({ fairnessKey: quiet });
  expectNoFailedTask(await handle.fetchHistory());
});

test('a token’s delivery carries its partner', async () => {
  const [tokenId, partnerId] = [randomUUID(), randomUUID()];
  const minted = {
    state: 'minted',
    acceptance: 'acknowledge',
    remainingMs: 3_600_000,
    expiresAt: '2030-01-01T00:00:00Z',
  };
  await working(TASK_QUEUES.onboarding, { mintShareToken: () => Promise.resolve(minted) }, async () => {
    await client.startOnboarding({ tokenId, issuerId: randomUUID(), partnerId, sessionKind: 'user' });
    await expect
      .poll(() => scheduled(tokenId), { timeout: 20_000 })
      .toMatchObject([{ activityType: { name: 'deliverShareToken' }, priority: { fairnessKey: partnerId } }]);
  });
});
