import type { Actor } from '../domain/events.ts';
import type { HandoffTransaction, SessionLifeStore } from './ports.ts';
import { deletedChanges } from './session-changes.ts';

/** A session that is gone. */
export interface DeletedSession {
  readonly sessionId: string;
  readonly number: number;
}

/**
 * Deletes a batch of an application's own user sessions for good, by the rules of `deleteSession`; numbers that it does
 * not have are passed over.
 *
 * @param limit the most that one transaction takes on
 */
export async function deleteUserSessions(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  applicationId: string,
  which: Parameters<SessionLifeStore['lockUserSessions']>[1],
  limit: number,
  actor: Actor,
): Promise<readonly DeletedSession[]> {
  const sessions = await store.lockUserSessions(applicationId, which, limit);
  if (sessions.length === 0) return [];
  const sessionIds = sessions.map(({ sessionId }) => sessionId);
  tx.sessions.delete(applicationId, sessionIds);
  tx.events.record(deletedChanges(applicationId, sessionIds), actor);
  return sessions.toSorted((one, other) => one.number - other.number);
}
