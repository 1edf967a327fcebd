import { Refusal } from '../domain/failures.ts';
import type { HandoffTransaction } from '../sharing/ports.ts';

/**
 * What to refuse a share request with when its fields are wrong: an unknown session comes first (`semantics.md`,
 * "Codes besides import's").
 */
export async function refuseFieldsOfSession(
  tx: HandoffTransaction,
  applicationId: string,
  sessionId: string,
  wrongFields: Error,
): Promise<Error> {
  const { session } = await tx.sessions.mintFacts(sessionId, applicationId, applicationId);
  return session === null ? new Refusal('session_not_found') : wrongFields;
}
