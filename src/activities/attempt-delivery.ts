import { attemptDelivery, type AttemptTools } from '../webhooks/attempt-delivery.ts';
import type { DeliveryLedger } from '../webhooks/ports.ts';
import type { WebhookActivities } from '../workflows/activity-types.ts';

/** One attempt of a `WebhookDelivery` run. */
export function attemptActivity(
  ledger: DeliveryLedger,
  tools: AttemptTools,
): Pick<WebhookActivities, 'attemptDelivery'> {
  return {
    attemptDelivery: async ({ deliveryId }) => {
      const claimed = await ledger.claimOne(deliveryId);
      if (!('eventId' in claimed)) return claimed;
      const record = await attemptDelivery(claimed, tools);
      await ledger.record(record);
      return record.state === 'retrying'
        ? { ended: false, retryInMs: record.retryInMs ?? 0 }
        : { ended: true, state: record.state };
    },
  };
}
