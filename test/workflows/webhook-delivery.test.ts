import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import type { AttemptResult } from '../../src/workflows/activity-types.ts';
import { hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';
import { keepHistory } from '../support/saved-histories.ts';

const lab = workflowLab();

/** Runs one delivery to its end; `waits` are the delays that the run asked the server for, in milliseconds. */
async function deliver(
  delayMs: number,
  answer: (attempt: number) => AttemptResult | Promise<AttemptResult>,
  path?: string,
): Promise<{ state: unknown; waits: number[] }> {
  const run = { deliveryId: randomUUID(), eventId: randomUUID(), destinationId: randomUUID(), delayMs };
  lab.attemptDelivery.set(run.deliveryId, answer);
  expect(await lab.client.startWebhookDelivery(run)).toBe('started');
  expect(await lab.client.startWebhookDelivery(run)).toBe('already_started');
  const handle = lab.env.client.workflow.getHandle(webhookDeliveryWorkflowId(run.eventId, run.destinationId));
  const state: unknown = await handle.result();
  const history = await handle.fetchHistory();
  expect(history).toSatisfy(hasNoFailedTask);
  if (path !== undefined) await keepHistory(`WebhookDelivery-${path}`, history);
  const waits = (history.events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
    timer?.startToFireTimeout == null
      ? []
      : [Number(timer.startToFireTimeout.seconds ?? 0) * 1000 + (timer.startToFireTimeout.nanos ?? 0) / 1e6],
  );
  return { state, waits };
}

it('ends with the first attempt that ends the delivery, whatever it came to', async () => {
  const one = await deliver(5_250, () => ({ ended: true, state: 'delivered' }), 'delivered');
  expect(one).toEqual({ state: 'delivered', waits: [5_250] });
  const other = await deliver(60_000, () => ({ ended: true, state: 'gone' }));
  expect(other).toEqual({ state: 'gone', waits: [60_000] });
});

it('waits as long as each attempt tells it to, for days', async () => {
  const told = [55_000, 14 * 3_600_000, 24 * 3_600_000];
  const result = await deliver(
    4_000,
    (attempt) => {
      const retryInMs = told[attempt - 1];
      return retryInMs === undefined ? { ended: true, state: 'exhausted' } : { ended: false, retryInMs };
    },
    'exhausted',
  );
  expect(result).toEqual({ state: 'exhausted', waits: [4_000, ...told] });
});

it('tries an attempt again that could not be made, without another wait of the schedule', async () => {
  const result = await deliver(
    5_000,
    (attempt) => {
      if (attempt <= 20) throw new Error('no database');
      return { ended: true, state: 'delivered' };
    },
    'outage',
  );
  expect(result).toEqual({ state: 'delivered', waits: [5_000] });
});
