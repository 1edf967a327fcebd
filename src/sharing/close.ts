import type { Actor } from '../domain/events.ts';
import { isMendable, Refusal, type FailureCode } from '../domain/failures.ts';
import type { ClosedEnding, CloseRequest, ShareAnswer, Step } from '../domain/onboarding.ts';
import type { HandoffTransaction, NewEvent, ShareFacts } from './ports.ts';
import { answerOf } from './share-answer.ts';
import { endingEvents, partiesOf } from './share-events.ts';

/** Asks how a token stands, without changing or locking anything. */
export async function lookAtShareToken(tx: HandoffTransaction, tokenId: string): Promise<ShareAnswer> {
  const share = await tx.shares.look(tokenId);
  if (share === null) throw new Refusal('unknown_onboarding');
  return answerOf(share);
}

/**
 * Closes a token if it may still be closed so, and answers how it stands then (`semantics.md`, "The one answer"):
 * `expired` and `undeliverable` yield to a redemption and to an unspent acknowledgement, `revoked` and `rejected` to a
 * redemption alone, and a token that is not past its expiry is not closed as expired.
 */
export async function closeShareToken(
  tx: HandoffTransaction,
  tokenId: string,
  request: CloseRequest,
  actor: Actor,
): Promise<ShareAnswer> {
  const share = await tx.shares.lock(tokenId);
  if (share === null) throw new Refusal('unknown_onboarding');
  const answer = answerOf(share);
  const ending = endingFor(share, answer, request);
  if (ending === null) return answer;
  recordEnding(tx, share, ending.as, ending.reason, actor);
  return closedAnswer(ending);
}

/**
 * An import that a rule refused: the acknowledgement is spent, so that expiry works again, and an automatic run falls
 * back to waiting for the partner's word. What the partner cannot mend, or not in time, ends the share as `rejected`.
 */
export async function spendAcknowledgement(
  tx: HandoffTransaction,
  tokenId: string,
  why: { readonly code: FailureCode; readonly field: string | null; readonly acknowledgementId: string | null },
  actor: Actor,
): Promise<void> {
  const share = await tx.shares.lock(tokenId);
  if (share?.onboarding == null || share.onboarding.ended) return;
  // A late attempt must not spend what the partner has mended since.
  if ((share.acknowledgement?.acknowledgementId ?? null) !== why.acknowledgementId) return;
  tx.onboardings.settleAcknowledgement(tokenId, 'spent', why);
  if (share.acknowledgement !== null) {
    const { issuerId, partnerId } = share.onboarding;
    const spent = { type: 'acknowledgement.spent', tokenId, reason: why.code } as const;
    tx.events.record(
      [issuerId, partnerId].map((applicationId) => ({ ...spent, applicationId })),
      actor,
    );
  }
  tx.onboardings.endStep(tokenId, 'import', why.code);
  if (!isMendable(why.code) || share.token?.expired === true) {
    recordEnding(tx, share, 'rejected', why.code, actor);
    return;
  }
  tx.onboardings.reopenStep(tokenId, 'wait');
  if (share.onboarding.acceptance === 'automatic') tx.onboardings.setAcceptance(tokenId, 'acknowledge');
}

interface PlannedEnding {
  readonly as: ClosedEnding;
  readonly reason: string | null;
}

function endingFor(share: ShareFacts, answer: ShareAnswer, request: CloseRequest): PlannedEnding | null {
  switch (answer.state) {
    case 'redeemed':
    case 'refused':
    case 'revoked':
    case 'closed':
      return null;
    case 'minting':
    case 'acknowledged':
      return request.as === 'revoked' || request.as === 'rejected' ? request : null;
    case 'open':
      return request.as === 'expired' ? null : request;
    case 'expired':
      if (share.token?.closedAs === 'expired') return null;
      return request.as === 'revoked' || request.as === 'rejected' ? request : expiredEnding(share);
  }
}

/** A token that ran out while it was to be delivered and nobody ever answered 2xx was undeliverable. */
function expiredEnding(share: ShareFacts): PlannedEnding {
  const awaited = share.onboarding !== null && share.onboarding.acceptance !== 'automatic';
  return awaited && !share.answered
    ? { as: 'undeliverable', reason: 'token_expired' }
    : { as: 'expired', reason: null };
}

function closedAnswer({ as, reason }: PlannedEnding): ShareAnswer {
  switch (as) {
    case 'undeliverable':
    case 'rejected':
      return { state: 'closed', as, reason: reason ?? 'unknown' };
    case 'revoked':
      return { state: 'revoked', reason };
    case 'refused':
    case 'expired':
      return { state: as };
  }
}

const STEP_OF_STATUS: Readonly<Record<string, Step>> = { minting: 'mint', delivering: 'deliver' };

/** Writes an ending in the transaction that makes it true: token, onboarding, acknowledgement, step and events. */
export function recordEnding(
  tx: HandoffTransaction,
  share: ShareFacts,
  as: ClosedEnding,
  reason: string | null,
  actor: Actor,
  tell: { readonly partnerReason: string | null } = { partnerReason: null },
): void {
  if (share.token !== null) tx.shares.closeToken(share.tokenId, as, reason);
  if (share.acknowledgement !== null) {
    tx.onboardings.settleAcknowledgement(share.tokenId, as === 'refused' ? 'withdrawn' : 'refused');
  }
  if (share.onboarding !== null) {
    tx.onboardings.endStep(share.tokenId, STEP_OF_STATUS[share.onboarding.status] ?? 'wait', reason ?? as);
    tx.onboardings.end(share.tokenId, as, reason, null);
  }
  const events = endingEvents(partiesOf(share), as, {
    reason,
    sentToPartner: share.sent,
    before: answerOf(share).state,
  });
  tx.events.insert(
    events.map((event) => withPartnerReason(event, tell.partnerReason)),
    actor,
  );
}

function withPartnerReason(event: NewEvent, partnerReason: string | null): NewEvent {
  return partnerReason === null ? event : { ...event, body: { ...event.body, partner_reason: partnerReason } };
}
