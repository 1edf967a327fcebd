import { proxyActivities, setCurrentDetails, sleep } from '@temporalio/workflow';
import { TASK_QUEUES } from '../domain/temporal-names.ts';
import type { WebhookActivities } from './activity-types.ts';

/** Input of {@link WebhookDelivery}: which delivery, and how long to wait before its second attempt. */
export interface WebhookDeliveryInput {
  /** UUID of the delivery row. */
  readonly deliveryId: string;
  /** Milliseconds. */
  readonly delayMs: number;
}

const { attemptDelivery } = proxyActivities<WebhookActivities>({
  taskQueue: TASK_QUEUES.webhooks,
  // One attempt takes at most 15 s; the rest is for the database.
  startToCloseTimeout: '30s',
  // An attempt that fails to run (no worker, no database) is tried until the payload's own retention ends.
  scheduleToCloseTimeout: '30 days',
  retry: { initialInterval: '2s', maximumInterval: '1m' },
});

/**
 * Carries a notification whose first attempt failed through its schedule (`domain/delivery-schedule.ts`): one short
 * activity an attempt, the delay told by what the receiver answered.
 *
 * @returns the state in which the delivery ended
 */
export async function WebhookDelivery(input: WebhookDeliveryInput): Promise<string> {
  // Started by hand with something else.
  if (typeof input?.deliveryId !== 'string' || !Number.isFinite(input.delayMs)) return 'stopped';
  const { deliveryId } = input;
  let waitMs = input.delayMs;
  for (;;) {
    setCurrentDetails(`Next attempt in ${Math.round(waitMs / 1000)} s`);
    await sleep(waitMs, { summary: 'until the next attempt' });
    const result = await attemptDelivery.executeWithOptions({ summary: 'Send the webhook again' }, [{ deliveryId }]);
    if (result.ended) return result.state;
    waitMs = result.retryInMs;
  }
}
