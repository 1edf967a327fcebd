import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { PARTNER_ONBOARDING, SIGNALS, TASK_QUEUES, WEBHOOK_DELIVERY } from '../../src/domain/temporal-names.ts';
import { expectNoFailedTask } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();
const text = (value: string) => Buffer.from(value);

test('a signal that nobody can decode wakes the run and does no more', async () => {
  const { brands, issuer, handoff } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await expect.poll(async () => (await handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  for (const payload of [
    { metadata: { encoding: text('json/plain') }, data: text('{not json') },
    { metadata: { encoding: text('binary/unknown') }, data: text('?') },
    { data: text('no metadata') },
    {},
  ]) {
    await handoff.temporal.connection.workflowService.signalWorkflowExecution({
      namespace: handoff.temporal.options.namespace,
      workflowExecution: { workflowId: tokenId },
      signalName: SIGNALS.partnerAcknowledged,
      input: { payloads: [payload] },
    });
  }
  expect((await brands.acknowledge(partner, tokenId)).status).toBe(200);
  await stack.expectEnding(partner, tokenId, { status: 'imported' });
  expectNoFailedTask(await handoff.temporal.workflow.getHandle(tokenId).fetchHistory());
});

test('a run that somebody starts beside a token’s own touches nothing, even cancelled', async () => {
  const { brands, issuer, handoff } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
  await expect.poll(async () => (await handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  for (const args of [[{ tokenId }], [{ tokenId: 'no-token' }], [{}], [null], []]) {
    const start = { workflowId: `by-hand-${randomUUID()}`, taskQueue: TASK_QUEUES.onboarding, args };
    const run = await handoff.temporal.workflow.start(PARTNER_ONBOARDING, start);
    await run.cancel().catch(() => {});
    expect(await run.result()).toEqual({ status: 'rejected', reason: 'unknown_onboarding' });
  }
  expect((await brands.acknowledge(partner, tokenId)).status).toBe(200);
  await stack.expectEnding(partner, tokenId, { status: 'imported' });
});

test('a delivery’s run that somebody starts for nothing ends', async () => {
  for (const args of [[], [{ deliveryId: 'x', delayMs: 'soon' }], [{ deliveryId: 'x', delayMs: 1 }]]) {
    const start = { workflowId: `by-hand-${randomUUID()}`, taskQueue: TASK_QUEUES.webhooks, args };
    expect(await stack.handoff.temporal.workflow.execute(WEBHOOK_DELIVERY, start)).toBe('stopped');
  }
});
