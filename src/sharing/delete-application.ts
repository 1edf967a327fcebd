import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import { recordEnding } from './close.ts';
import type { ApplicationStore, HandoffTransaction, ShareFacts } from './ports.ts';
import { answerOf } from './share-answer.ts';
import { partiesOf } from './share-events.ts';

/** Why a share ended whose issuer or partner was deleted. */
export const DELETED_WITH_APPLICATION = 'application_deleted';

/**
 * Deletes an application of an organization softly: its rows stay, and it can be read. Its open shares, as issuer and
 * as partner, end as revoked in the same transaction, and their runs are signalled; what has run out is left to its own
 * ending.
 *
 * @throws {Refusal} `not_found` when the organization has no such application, or has deleted it already
 */
export async function deleteApplication(
  tx: HandoffTransaction,
  store: ApplicationStore,
  call: { readonly applicationId: string; readonly organizationId: string },
  actor: Actor,
): Promise<void> {
  if (!(await store.markDeleted(call.applicationId, call.organizationId))) throw new Refusal('not_found');
  const { applicationId } = call;
  tx.events.record([{ type: 'application.deleted', applicationId }], actor);
  const tokenIds = await store.openShares(applicationId);
  // Sent in order of their ids, so that two deletions lock what they have in common in the same order.
  const shares = await Promise.all(tokenIds.map((tokenId) => tx.shares.lock(tokenId)));
  // And then the events, by their sessions: those of several shares stand in one line.
  for (const share of shares.filter((one) => one !== null).toSorted(bySession)) {
    const { state } = answerOf(share);
    if (state !== 'minting' && state !== 'open' && state !== 'acknowledged') continue;
    recordEnding(tx, share, 'revoked', DELETED_WITH_APPLICATION, actor);
    if (share.onboarding !== null) tx.wishSignal(share.tokenId, 'tokenRevoked', share.tokenId);
  }
}

function bySession(a: ShareFacts, b: ShareFacts): number {
  return partiesOf(a).sessionId < partiesOf(b).sessionId ? -1 : 1;
}
