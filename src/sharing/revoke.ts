import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import { recordEnding } from './close.ts';
import type { HandoffTransaction } from './ports.ts';
import { answerOf } from './share-answer.ts';

/**
 * The issuer takes its share back: `POST /v1/onboardings/{token_id}/revoke/`. Wins over an acknowledgement, yields to
 * a redemption. A second revoke finds the first and changes nothing.
 *
 * @throws {Refusal} `unknown_onboarding` for anybody but the issuer; `onboarding_ended` when it is too late
 */
export async function revokeOnboarding(
  tx: HandoffTransaction,
  call: { readonly tokenId: string; readonly issuerId: string },
  actor: Actor,
): Promise<void> {
  const share = await tx.shares.lock(call.tokenId);
  if (share?.onboarding == null || share.onboarding.issuerId !== call.issuerId) throw new Refusal('unknown_onboarding');
  if (share.onboarding.status === 'revoked') return;
  if (share.onboarding.ended) throw new Refusal('onboarding_ended', { extra: { status: share.onboarding.status } });
  if (answerOf(share).state === 'expired') throw new Refusal('onboarding_ended', { extra: { status: 'expired' } });
  recordEnding(tx, share, 'revoked', 'revoked_by_issuer', actor);
  tx.wishSignal(call.tokenId, 'tokenRevoked', call.tokenId);
}

/** Why a share ended whose token's key was removed. */
const SIGNING_KEY_REMOVED = 'signing_key_removed';

/**
 * Takes a share back because the key that signed its token was removed: automatic and acknowledged ones too; a
 * redemption stands, and what has ended or run out is left to its own ending.
 */
export async function revokeForRemovedKey(tx: HandoffTransaction, tokenId: string, actor: Actor): Promise<void> {
  const share = await tx.shares.lock(tokenId);
  if (share?.token == null) return;
  const { state } = answerOf(share);
  if (state !== 'open' && state !== 'acknowledged') return;
  recordEnding(tx, share, 'revoked', SIGNING_KEY_REMOVED, actor);
  if (share.onboarding !== null) tx.wishSignal(tokenId, 'tokenRevoked', tokenId);
}
