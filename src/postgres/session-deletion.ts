import { forgetKeysOfSessions } from './data-keys.ts';
import { forgetSessionTimes } from './entities.ts';
import { eraseEvents } from './event-erasure.ts';
import type { Transaction } from './tenants.ts';

/** Locks a session and the people's clones that it brought, in id order after itself. */
export async function lockForDeletion(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
): Promise<{ number: number; sessionIds: string[] } | null> {
  const [sessions, people] = await Promise.all([
    tx.query<{ number: number }>(
      `select session_number::float8 as number from session where session_id = $1 and application_id = $2 for update`,
      [sessionId, applicationId],
    ),
    tx.query<{ session_id: string }>(
      `select session_id from session where parent_import = $1 and application_id = $2 order by session_id for update`,
      [sessionId, applicationId],
    ),
  ]);
  const session = sessions[0];
  if (session === undefined) return null;
  return { number: session.number, sessionIds: [sessionId, ...people.map(({ session_id }) => session_id)] };
}

/** Deletes sessions with their content and keys (cascade), releases their imports' pairs and takes them off the counters, last. */
export function deleteSessions(tx: Transaction, applicationId: string, sessionIds: readonly string[]): void {
  forgetKeysOfSessions(tx, sessionIds);
  tx.send(
    'update redemption set released_at = handoff_now() where session_id = any ($1::uuid[]) and released_at is null',
    [sessionIds],
  );
  // Files still to be fetched may be a clone's as well.
  tx.send(`delete from media_fetch where session_id = any ($1::uuid[]) and application_id = $2 and state = 'failed'`, [
    sessionIds,
    applicationId,
  ]);
  forgetSessionTimes(tx, applicationId, sessionIds);
  forgetWhatEventsTell(tx, applicationId, sessionIds);
  // Business before user, as an import takes them; the order of an update's rows would be the planner's.
  tx.send(
    `select 1 from session_counter
     where application_id = $1 and session_kind in (select session_kind from session where session_id = any ($2::uuid[]))
     order by session_kind for update`,
    [applicationId, sessionIds],
  );
  tx.send(
    `with gone as (
       delete from session where session_id = any ($2::uuid[]) and application_id = $1 returning session_kind
     ), counted as (select session_kind, count(*) as n from gone group by session_kind)
     update session_counter c set living = c.living - counted.n from counted
     where c.application_id = $1 and c.session_kind = counted.session_kind`,
    [applicationId, sessionIds],
  );
}

/** Erases whatever events told of these sessions. Those of shares hold ids and states alone. */
function forgetWhatEventsTell(tx: Transaction, applicationId: string, sessionIds: readonly string[]): void {
  eraseEvents(tx, 'session_deleted', {
    select: `select event_id from event
      where application_id = $1 and session_id = any ($2::uuid[]) and type not like 'share.%'`,
    values: [applicationId, sessionIds],
  });
}
