import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { TASK_QUEUES } from '../domain/temporal-names.ts';
import type { WebhookActivities } from './activity-types.ts';
import { untilReadable } from './readable-result.ts';
import { HANDOFF_PARTNER } from './search-attributes.ts';

/** A delivery of `share.received` that goes on beside the race. */
export interface TokenDelivery {
  /** A destination answered 2xx. */
  readonly answered: () => boolean;
  /** Why nobody is left to try, or `null` while somebody is. */
  readonly undeliverable: () => string | null;
  /** No attempt is under way or to come. */
  readonly settled: () => boolean;
  /** Ends the retries. */
  readonly stop: () => void;
}

/**
 * Starts to deliver, in a cancellable scope of its own; Temporal retries until the token expires.
 *
 * @param order.lifetimeMs how long to go on, in milliseconds
 * @param order.attempts how often at most; unlimited when absent
 */
export function startDelivery(order: {
  readonly tokenId: string;
  readonly lifetimeMs: number;
  readonly summary: string;
  readonly attempts?: number;
  readonly onAnswered: () => void;
}): TokenDelivery {
  const partnerId = workflowInfo().typedSearchAttributes.get(HANDOFF_PARTNER);
  const { deliverShareToken } = proxyActivities<WebhookActivities>({
    taskQueue: TASK_QUEUES.webhooks,
    // Partners take turns: none waits behind another's many. A run that somebody started by hand names none.
    ...(partnerId === undefined ? {} : { priority: { fairnessKey: partnerId } }),
    // One attempt takes at most 15 s for all destinations together; the rest is for the database.
    startToCloseTimeout: '20s',
    // A little longer than the token lives: the activity itself sees the expiry, by the database's clock.
    scheduleToCloseTimeout: order.lifetimeMs + 60_000,
    retry: {
      // A round that ends names its own wait, of five minutes at most. This one, which does not grow with the rounds before,
      // is after a worker or Postgres was lost.
      initialInterval: '2s',
      backoffCoefficient: 1,
      maximumInterval: '5m',
      ...(order.attempts === undefined ? {} : { maximumAttempts: order.attempts }),
    },
  });
  const scope = new CancellationScope();
  let answered = false;
  let settled = false;
  let undeliverable: string | null = null;

  async function deliver(): Promise<void> {
    for (let round = 1; ; round += 1) {
      const summary = round === 1 ? order.summary : 'Deliver to the destinations that have not answered yet';
      const { pending } = await untilReadable(() =>
        deliverShareToken.executeWithOptions({ summary }, [{ tokenId: order.tokenId }]),
      );
      if (!answered) {
        answered = true;
        order.onAnswered();
      }
      if (pending === 0) return;
      await sleep('5s', { summary: 'before the destinations that have not answered yet' });
    }
  }

  scope
    .run(deliver)
    .catch((error: unknown) => {
      // Its end never ends the run: an expiry or an answer does.
      if (!isCancellation(error)) undeliverable = undeliverableReason(error);
    })
    .finally(() => {
      settled = true;
    });

  return {
    answered: () => answered,
    undeliverable: () => undeliverable,
    settled: () => settled,
    stop: () => scope.cancel(),
  };
}

/** The reason in an `undeliverable` failure; `null` when time or tries ran out, which the token's expiry decides. */
function undeliverableReason(error: unknown): string | null {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return null;
  if (error.cause.type !== 'undeliverable') return null;
  const [reason] = error.cause.details ?? [];
  return typeof reason === 'string' ? reason : 'unknown';
}
