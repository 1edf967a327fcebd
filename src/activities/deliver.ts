import { activityInfo, ApplicationFailure, sleep } from '@temporalio/activity';
import type { UndeliverableReason } from '../domain/onboarding.ts';
import { attemptDelivery, type AttemptTools } from '../webhooks/attempt-delivery.ts';
import type { AttemptRecord, TokenDeliveryLedger, TokenRound, TokenRoundResult } from '../webhooks/ports.ts';
import type { WebhookActivities } from '../workflows/activity-types.ts';

/** The wait after a first failure, in milliseconds; it doubles with each. */
const FIRST_WAIT_MS = 2_000;

/** The longest wait between two attempts: a token lives a day at most. */
const LONGEST_WAIT_MS = 5 * 60_000;

/** How often a notice looks for room at busy destinations, with about two seconds in between. */
const NOTICE_LOOKS = 4;
const NOTICE_WAIT_MS = 2_000;

/** Replies by which a receiver asks for time: its own delay then replaces the retry policy's. */
const OVERLOADED = new Set(['http_429', 'http_502', 'http_503', 'http_504']);

/** The deliver step: one round of `share.received` to every destination that has not ended. */
export function deliverActivity(
  ledger: TokenDeliveryLedger,
  tools: AttemptTools,
): Pick<WebhookActivities, 'deliverShareToken'> {
  return {
    deliverShareToken: async ({ tokenId }) => {
      const { attempt } = activityInfo();
      const round = await beginRound(ledger, tokenId, attempt);
      if (!round.open) {
        if (round.over) return { pending: 0 };
        throw heldByAcknowledgement();
      }
      // A token's attempts are limited by its expiry; a notice gets one.
      const limits = { maxAttempts: round.withToken ? Infinity : 1 };
      const records = await Promise.all(round.deliveries.map((delivery) => attemptDelivery(delivery, tools, limits)));
      const result = await ledger.finish(tokenId, { withToken: round.withToken, attempt }, records);
      if (records.some(({ state }) => state === 'delivered')) return { pending: result.pending };
      if (result.pending > 0) throw stillTrying(result, records, round.opensInMs);
      if (result.delivered > 0 || !round.withToken) return { pending: 0 };
      throw undeliverable(result);
    },
  };
}

/**
 * A notice has one round alone, and nothing else sends it: as long as its destinations are only busy, that round waits a
 * little.
 */
async function beginRound(ledger: TokenDeliveryLedger, tokenId: string, attempt: number): Promise<TokenRound> {
  for (let look = 1; ; look += 1) {
    const round = await ledger.begin(tokenId, attempt);
    const keptOut = round.open && !round.withToken && round.deliveries.length === 0 && round.opensInMs !== null;
    if (!keptOut || look === NOTICE_LOOKS) return round;
    await sleep(NOTICE_WAIT_MS * (0.5 + Math.random()));
  }
}

function heldByAcknowledgement(): ApplicationFailure {
  const message = 'an acknowledgement is being carried out';
  return ApplicationFailure.create({ type: 'delivery_failed', message, category: 'BENIGN' });
}

function stillTrying(
  result: TokenRoundResult,
  records: readonly AttemptRecord[],
  opensInMs: number | null,
): ApplicationFailure {
  // Each by its own attempts: the rounds that Temporal counts may have sent nothing to it.
  const waits = records.flatMap(({ state, reason, retryInMs, scheduledSoFar }) => {
    if (state !== 'retrying') return [];
    if (OVERLOADED.has(reason) && retryInMs !== null) return [retryInMs];
    return [FIRST_WAIT_MS * 2 ** Math.min(scheduledSoFar - 1, 10)];
  });
  // A busy one has room again after some seconds; those that wait for the same one do not come back together.
  if (opensInMs !== null) waits.push(opensInMs + 1_000 + 2_000 * Math.random());
  const reasons = new Set(records.map(({ reason }) => reason));
  if (opensInMs !== null) reasons.add('busy, slow or out of order');
  return ApplicationFailure.create({
    type: 'delivery_failed',
    message: `${result.pending} destination(s) still to be tried: ${[...reasons].join(', ') || 'another attempt is under way'}`,
    category: 'BENIGN',
    ...(waits.length > 0 && { nextRetryDelay: Math.min(LONGEST_WAIT_MS, ...waits) }),
  });
}

function undeliverable({ failedStates }: TokenRoundResult): ApplicationFailure {
  const reason = reasonOf(failedStates);
  return ApplicationFailure.create({
    type: 'undeliverable',
    message: `no destination is left to try: ${reason}`,
    nonRetryable: true,
    details: [reason],
  });
}

function reasonOf(states: readonly string[]): UndeliverableReason {
  if (states.includes('blocked')) return 'blocked_address';
  if (states.includes('gone')) return 'gone';
  return states.includes('aborted') ? 'aborted' : 'no_destination';
}
