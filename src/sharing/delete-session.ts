import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import type { HandoffTransaction } from './ports.ts';
import { deletedChanges } from './session-changes.ts';

/**
 * Deletes an application's own session for good, with the people that a business import brought along. Deleting an
 * import frees its (source, application) pair in the same transaction; the token stays used for ever.
 *
 * @returns the session's number
 * @throws {Refusal} `session_not_found`
 */
export async function deleteSession(
  tx: HandoffTransaction,
  applicationId: string,
  sessionId: string,
  actor: Actor,
): Promise<{ sessionNumber: number }> {
  const session = await tx.sessions.lockForDeletion(applicationId, sessionId);
  if (session === null) throw new Refusal('session_not_found');
  tx.sessions.delete(applicationId, session.sessionIds);
  tx.events.record(deletedChanges(applicationId, session.sessionIds), actor);
  return { sessionNumber: session.number };
}
