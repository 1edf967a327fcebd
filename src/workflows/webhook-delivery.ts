import {
  allHandlersFinished,
  condition,
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { DELIVERY_DUE_SIGNAL, TASK_QUEUES } from '../domain/temporal-names.ts';
import type { WebhookActivities } from './activity-types.ts';
import { untilReadable } from './readable-result.ts';

/** Input of {@link WebhookDelivery}: which delivery, and how long to wait before its second attempt. */
export interface WebhookDeliveryInput {
  /** UUID of the delivery row. */
  readonly deliveryId: string;
  /** Milliseconds. */
  readonly delayMs: number;
}

/** The delivery's row may want something else than what the run waits for. */
export const deliveryDue = defineSignal(DELIVERY_DUE_SIGNAL);

/** Looks that one run makes: some two thousand events of history, when a destination is out of order for days. */
const LOOKS_PER_RUN = 200;

const { attemptDelivery } = proxyActivities<WebhookActivities>({
  taskQueue: TASK_QUEUES.webhooks,
  // One attempt takes at most 15 s; the rest is for the database.
  startToCloseTimeout: '20s',
  // An attempt that fails to run (no worker, no database) is tried until the payload's own retention ends.
  scheduleToCloseTimeout: '30 days',
  retry: { initialInterval: '2s', maximumInterval: '1m' },
});

/**
 * Carries a notification whose first attempt failed through its schedule (`domain/delivery-schedule.ts`): a timer, and
 * one short activity a look. The delivery's row decides whether a look becomes an attempt, when the next one comes, and
 * whether the delivery has ended or is held. The signal `deliveryDue` cuts the wait short.
 *
 * @returns the state in which the delivery ended, or `held`: whoever releases it begins anew
 */
export async function WebhookDelivery(input: WebhookDeliveryInput): Promise<string> {
  let told = 0;
  let seen = 0;
  setHandler(deliveryDue, () => {
    told += 1;
  });
  // Started by hand with something else.
  if (typeof input?.deliveryId !== 'string' || !Number.isFinite(input.delayMs)) return 'stopped';
  const { deliveryId } = input;
  let waitMs = input.delayMs;
  for (let looks = 0; ; looks += 1) {
    if (looks >= LOOKS_PER_RUN || workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof WebhookDelivery>({ deliveryId, delayMs: told > seen ? 0 : waitMs });
    }
    if (told === seen) {
      setCurrentDetails(`Next attempt in ${Math.round(waitMs / 1000)} s`);
      // Never 0, which `condition` has a meaning of its own for.
      await condition(() => told > seen, Math.max(1, waitMs), { summary: 'until the next attempt' });
    }
    seen = told;
    const result = await untilReadable(() =>
      attemptDelivery.executeWithOptions({ summary: 'Send the webhook again' }, [{ deliveryId }]),
    );
    if (!result.ended) {
      waitMs = result.retryInMs;
      continue;
    }
    await condition(allHandlersFinished);
    // Told while it was about to end: the row may have been given back to it.
    if (told === seen) return result.state;
  }
}
