import type { Change, SessionRow } from './ports.ts';

/** How a session came to be: what the audit trail gives as the reason. */
export type Origin = 'taken_in' | 'hosted' | 'simulated' | 'ingested' | 'shared' | 'session_import';

/** A session that was written. */
export function createdChange({ applicationId, sessionId, status }: SessionRow, origin: Origin): Change {
  return { type: 'session.created', applicationId, sessionId, reason: origin, after: { status } };
}

/** Sessions that were deleted for good. */
export function deletedChanges(applicationId: string, sessionIds: readonly string[]): Change[] {
  return sessionIds.map((sessionId) => ({ type: 'session.deleted', applicationId, sessionId }));
}
