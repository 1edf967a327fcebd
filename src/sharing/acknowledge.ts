import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import { recordEnding } from './close.ts';
import { personVendorData, settleImport } from './import-rules.ts';
import type { HandoffTransaction, ImportChoice, ShareFacts } from './ports.ts';
import { answerOf } from './share-answer.ts';

/** The partner's word on a share: `POST /v1/onboardings/{token_id}/acknowledge/`. */
export interface AcknowledgeCall {
  readonly tokenId: string;
  readonly partnerId: string;
  readonly accept: boolean;
  readonly choice: ImportChoice;
  /** The partner's own words; they stay in Postgres and the webhook to the issuer. */
  readonly reason: string | null;
  /** Tells the same acknowledgement from another one. */
  readonly bodySha256: Buffer;
}

/**
 * Accepts or refuses. Accepting checks all that the import will check and reserves the token past its expiry; refusing
 * works in every mode until the redemption.
 *
 * @throws {Refusal} `unknown_onboarding` for anybody but the partner, `onboarding_minting`, `onboarding_ended`,
 *   `acceptance_mode`, `acknowledgement_conflict`, or the rule that the import would break; nothing is written then
 */
export async function acknowledgeOnboarding(
  tx: HandoffTransaction,
  call: AcknowledgeCall,
  actor: Actor,
): Promise<void> {
  const share = await tx.shares.lock(call.tokenId);
  if (share?.onboarding == null || share.onboarding.partnerId !== call.partnerId)
    throw new Refusal('unknown_onboarding');
  const answer = answerOf(share);
  switch (answer.state) {
    case 'minting':
      throw new Refusal('onboarding_minting');
    case 'redeemed':
      throw new Refusal('onboarding_ended', { extra: { status: 'imported' } });
    case 'refused':
    case 'revoked':
    case 'expired':
      throw new Refusal('onboarding_ended', { extra: { status: answer.state } });
    case 'closed':
      throw new Refusal('onboarding_ended', { extra: { status: answer.as } });
    case 'open':
    case 'acknowledged':
      return call.accept ? accept(tx, share, call, actor) : refuse(tx, share, call, actor);
  }
}

async function accept(tx: HandoffTransaction, share: ShareFacts, call: AcknowledgeCall, actor: Actor): Promise<void> {
  if (share.acknowledgement !== null) {
    if (share.acknowledgement.bodySha256.equals(call.bodySha256)) return;
    throw new Refusal('acknowledgement_conflict');
  }
  if (share.onboarding?.acceptance !== 'acknowledge') throw new Refusal('acceptance_mode');
  await checkImport(tx, share, call.choice);
  const acknowledgementId = writeAcknowledgement(tx, call, 'unspent');
  tx.onboardings.endStep(call.tokenId, 'wait', 'acknowledged');
  const { tokenId, partnerId } = call;
  const recorded = { type: 'acknowledgement.recorded', tokenId, after: { accept: true } } as const;
  tx.events.record(
    [share.onboarding.issuerId, partnerId].map((applicationId) => ({ ...recorded, applicationId })),
    actor,
  );
  tx.wishSignal(call.tokenId, 'partnerAcknowledged', acknowledgementId);
}

function refuse(tx: HandoffTransaction, share: ShareFacts, call: AcknowledgeCall, actor: Actor): void {
  recordEnding(tx, share, 'refused', 'refused_by_partner', actor, { partnerReason: call.reason });
  const acknowledgementId = writeAcknowledgement(tx, call, 'refused');
  tx.wishSignal(call.tokenId, 'partnerAcknowledged', acknowledgementId);
}

async function checkImport(tx: HandoffTransaction, share: ShareFacts, choice: ImportChoice): Promise<void> {
  const token = share.token;
  if (token === null) throw new Error('an acknowledged share has a token');
  const facts = await tx.sessions.importFacts(token, choice.workflowId);
  const settled = settleImport(token, facts, choice, 'onboarding');
  const entities = [
    { kind: token.sessionKind, vendorData: settled.vendorData },
    ...settled.people.map((person) => ({
      kind: person.kind,
      vendorData: personVendorData(person, token.issuerId, facts, 'onboarding'),
    })),
  ].flatMap(({ kind, vendorData }) => (vendorData === null ? [] : [{ kind, vendorData }]));
  if (await tx.sessions.anyBlocked(token.partnerId, entities)) {
    throw new Refusal('entity_blocked', { field: 'vendor_data' });
  }
}

function writeAcknowledgement(tx: HandoffTransaction, call: AcknowledgeCall, state: 'unspent' | 'refused'): string {
  const acknowledgementId = tx.newId();
  const { tokenId, partnerId, accept, choice, reason, bodySha256 } = call;
  tx.onboardings.insertAcknowledgement({
    acknowledgementId,
    tokenId,
    partnerId,
    accept,
    choice,
    reason,
    bodySha256,
    state,
  });
  return acknowledgementId;
}
