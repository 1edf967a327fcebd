import type { ShareTokenKeys } from '../crypto/share-token-keys.ts';
import { SigningKeyRemoved } from '../crypto/share-token.ts';
import { delayBeforeAttempt, MAX_ATTEMPTS } from '../domain/delivery-schedule.ts';
import type { LinkTarget } from '../sharing/decision.ts';
import { composeAttempt } from './compose-attempt.ts';
import type { PostOutcome, WebhookPoster } from './http-post.ts';
import type { AttemptFault, AttemptRecord, ClaimedDelivery, DeliveryState, DisablingReason } from './ports.ts';
import { judgeReply, type Verdict } from './reply-policy.ts';

/** What an attempt needs besides its delivery. */
export interface AttemptTools {
  readonly poster: WebhookPoster;
  readonly shareTokenKeys: ShareTokenKeys;
  /** Makes the links to a decision's files. */
  readonly mediaUrl: (file: LinkTarget) => string;
  /** Where receivers read what is sent to them. */
  readonly docsUrl: string;
  /** Told of each attempt that failed by a fault of ours. */
  readonly onFault?: (fault: AttemptFault) => void;
}

/**
 * Makes one attempt and says what to record. Never throws: whatever goes wrong, the schedule goes on.
 *
 * @param limits.maxAttempts attempts after which a delivery is exhausted; a token's are limited by its expiry alone
 */
export async function attemptDelivery(
  delivery: ClaimedDelivery,
  tools: AttemptTools,
  limits: { readonly maxAttempts: number } = { maxAttempts: MAX_ATTEMPTS },
): Promise<AttemptRecord> {
  const { deliveryId, attemptId, trigger, scheduledSoFar, applicationId, destinationId } = delivery;
  // Receivers refuse what a machine with a wrong clock would sign.
  const begun = performance.now();
  const nowMs = () => delivery.claimedAtMs + performance.now() - begun;
  const isPing = delivery.eventType === 'webhook.ping';
  const about = {
    deliveryId,
    attemptId,
    trigger,
    scheduledSoFar,
    applicationId,
    destinationId,
    ...(isPing && { advisory: true as const }),
  };
  const next = Math.min(Math.max(delivery.scheduleAttempt, 1) + 1, MAX_ATTEMPTS);
  const scheduledDelayMs = delayBeforeAttempt(next, Math.random());
  const last = delivery.scheduleAttempt >= limits.maxAttempts;
  const faulty = (reason: AttemptFault['reason'], error?: unknown): AttemptRecord => {
    tools.onFault?.({ deliveryId, attemptId, destinationId, reason, ...(error !== undefined && { error }) });
    const goesOn = last
      ? ({ state: 'exhausted', retryInMs: null } as const)
      : ({ state: 'retrying', retryInMs: scheduledDelayMs } as const);
    return { ...unsent, ...about, ...goesOn, reason };
  };
  if (delivery.unreadable !== undefined) return faulty(delivery.unreadable);
  let composed;
  let outcome;
  try {
    composed = await composeAttempt(delivery, tools, Math.floor(nowMs() / 1000));
    const { body, headers } = composed;
    outcome = await tools.poster.post({ destinationId, url: delivery.url, body, headers });
  } catch (error) {
    // Its token is about to be revoked, which ends the delivery.
    if (error instanceof SigningKeyRemoved) return faulty('signing_key_removed');
    return faulty('internal_error', error);
  }
  const { headers, leftOut } = composed;
  const verdict = judgeReply(outcome, { scheduledDelayMs, nowMs: nowMs() });
  const state = stateAfter(verdict, last);
  return {
    ...about,
    state,
    retryInMs: state === 'retrying' && verdict.verdict === 'retry' ? Math.round(verdict.delayMs) : null,
    reason: verdict.reason,
    requestHeaders: headers,
    leftOut,
    ...observed(outcome, delivery.token !== null),
    hint: 'hint' in verdict ? (verdict.hint ?? null) : null,
    slowDestinationMs: 'slowDestinationMs' in verdict ? (verdict.slowDestinationMs ?? null) : null,
    disables: isPing ? null : (DISABLES[verdict.verdict] ?? null),
  };
}

const unsent = {
  retryInMs: null,
  requestHeaders: null,
  leftOut: [],
  durationMs: 0,
  connectedIp: null,
  responseStatus: null,
  responseHead: null,
  bodyTruncated: null,
  locationHost: null,
  hint: null,
  slowDestinationMs: null,
  disables: null,
};

/** What was seen of a reply. One that may echo a share token is not kept. */
function observed(
  outcome: PostOutcome,
  carriedToken: boolean,
): Pick<
  AttemptRecord,
  'durationMs' | 'connectedIp' | 'responseStatus' | 'responseHead' | 'bodyTruncated' | 'locationHost'
> {
  return {
    durationMs: Math.round(outcome.durationMs),
    connectedIp: outcome.connectedIp,
    responseStatus: outcome.kind === 'reply' ? outcome.status : null,
    responseHead: outcome.kind === 'reply' && !carriedToken ? outcome.bodyHead : null,
    bodyTruncated: outcome.kind === 'reply' ? outcome.bodyTruncated : null,
    locationHost: outcome.kind === 'reply' && !carriedToken ? outcome.locationHost : null,
  };
}

const DISABLES: Readonly<Partial<Record<Verdict['verdict'], DisablingReason>>> = {
  gone: 'gone',
  disable: 'receiver',
  blocked: 'blocked',
};

function stateAfter(verdict: Verdict, last: boolean): DeliveryState {
  switch (verdict.verdict) {
    case 'delivered':
      return 'delivered';
    case 'retry':
      return last ? 'exhausted' : 'retrying';
    case 'gone':
      return 'gone';
    case 'disable':
      return verdict.delivered ? 'delivered' : 'gone';
    case 'abort':
      return 'aborted';
    case 'blocked':
      return 'blocked';
  }
}
