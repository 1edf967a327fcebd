import { attemptDelivery, type AttemptTools } from '../webhooks/attempt-delivery.ts';
import type { DeliveryLedger } from '../webhooks/ports.ts';
import type { WebhookActivities } from '../workflows/activity-types.ts';

/** How long to wait for an attempt of somebody else's to end, in milliseconds. */
const HELD_BY_ANOTHER_MS = 60_000;

/** One attempt of a `WebhookDelivery` run. */
export function attemptActivity(
  ledger: DeliveryLedger,
  tools: AttemptTools,
): Pick<WebhookActivities, 'attemptDelivery'> {
  return {
    attemptDelivery: async ({ deliveryId }) => {
      const claimed = await ledger.claimOne(deliveryId);
      if (!('eventId' in claimed)) {
        return claimed.ended ? { ended: true, state: claimed.state } : { ended: false, retryInMs: HELD_BY_ANOTHER_MS };
      }
      const record = await attemptDelivery(claimed, tools);
      await ledger.record(record);
      return record.state === 'retrying'
        ? { ended: false, retryInMs: record.retryInMs ?? HELD_BY_ANOTHER_MS }
        : { ended: true, state: record.state };
    },
  };
}
