import type { SessionKind } from '../domain/decision-categories.ts';
import type { Environment, NewSession, SessionStore } from '../sharing/ports.ts';
import { insertSessionKeys } from './data-keys.ts';
import { insertSessions, isoColumn, SESSION_RECORD, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Writes new sessions of one application, however many, in a handful of statements; their numbers are taken last. */
export function insertContents(tx: Transaction, applicationId: string, sessions: readonly NewSession[]): void {
  if (sessions.length === 0) return;
  insertSessionKeys(tx, applicationId, sessions);
  insertContentRows(tx, applicationId, sessions);
  for (const kind of ['business', 'user'] as const) insertNumbered(tx, applicationId, kind, sessions);
}

/** Writes what belongs to sessions, whose own rows come after or are there. */
export function insertContentRows(tx: Transaction, applicationId: string, sessions: readonly NewSession[]): void {
  insertPayloads(tx, applicationId, 'session_check', sessions);
  insertPayloads(tx, applicationId, 'session_home', sessions);
  insertPeople(tx, applicationId, sessions);
  insertSearchTerms(
    tx,
    applicationId,
    sessions.map(({ session, searchTerms }) => ({ sessionId: session.sessionId, terms: searchTerms })),
  );
}

function insertPayloads(
  tx: Transaction,
  applicationId: string,
  table: 'session_check' | 'session_home',
  sessions: readonly NewSession[],
): void {
  const rows = sessions.flatMap(({ session, content }) =>
    (table === 'session_check' ? content.checks : content.home).map((row) => ({ ...row, id: session.sessionId })),
  );
  if (rows.length === 0) return;
  tx.send(
    `insert into ${table} (application_id, session_id, category, position, payload)
     select $1, * from unnest($2::uuid[], $3::text[], $4::int[], $5::bytea[])`,
    [
      applicationId,
      rows.map(({ id }) => id),
      rows.map(({ category }) => category),
      rows.map(({ position }) => position),
      rows.map(({ payload }) => payload),
    ],
  );
}

function insertPeople(tx: Transaction, applicationId: string, sessions: readonly NewSession[]): void {
  const rows = sessions.flatMap(({ session, content }) =>
    content.people.map((person) => ({ ...person, id: session.sessionId })),
  );
  if (rows.length === 0) return;
  tx.send(
    `insert into session_person (application_id, session_id, category, position, pointer, reference, person_session_id)
     select $1, * from unnest($2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::uuid[])`,
    [
      applicationId,
      rows.map(({ id }) => id),
      rows.map(({ category }) => category),
      rows.map(({ position }) => position),
      rows.map(({ pointer }) => pointer),
      rows.map(({ reference }) => reference),
      rows.map(({ reference }) => uuidOrNull(reference?.toLowerCase())),
    ],
  );
}

function insertNumbered(
  tx: Transaction,
  applicationId: string,
  kind: SessionKind,
  sessions: readonly NewSession[],
): void {
  const rows = sessions
    .filter(({ session }) => session.kind === kind)
    .map(({ session }, index) => ({ ...session, number: index + 1 }));
  if (rows.length === 0) return;
  tx.send(
    `with counter as (
       insert into session_counter (application_id, session_kind, last_number, living) values ($1, $2, $3::bigint, $3::bigint)
       on conflict (application_id, session_kind) do update
         set last_number = session_counter.last_number + excluded.last_number,
             living = session_counter.living + excluded.living
       returning last_number
     )
     ${insertSessions('counter.last_number - $3::bigint + r.number', `counter, jsonb_to_recordset($4::jsonb) as r(${SESSION_RECORD})`)}`,
    [applicationId, kind, rows.length, JSON.stringify(rows)],
  );
}

/** Writes what sessions are found by. */
export function insertSearchTerms(
  tx: Transaction,
  applicationId: string,
  sessions: readonly { sessionId: string; terms: readonly Buffer[] }[],
): void {
  const rows = sessions.flatMap(({ sessionId, terms }) => terms.map((term) => ({ sessionId, term })));
  if (rows.length === 0) return;
  tx.send(
    `insert into session_search (application_id, term, session_id)
     select $1, * from unnest($2::bytea[], $3::uuid[]) on conflict do nothing`,
    [applicationId, rows.map(({ term }) => term), rows.map(({ sessionId }) => sessionId)],
  );
}

/**
 * Locks external ids against a second take-in (sorted, so that two files cannot wait for each other), and reads what is
 * stored under them.
 */
export async function takeInManyFacts(
  tx: Transaction,
  applicationId: string,
  externalIds: readonly string[],
): ReturnType<SessionStore['takeInManyFacts']> {
  // The key that `takeInFacts` locks for one.
  tx.send(
    `select pg_advisory_xact_lock(key) from (
       select distinct hashtextextended($1::text || ':' || id, 1) as key from unnest($2::text[]) as ids(id) order by 1) keys`,
    [applicationId, externalIds],
  );
  const [[application], stored] = await Promise.all([
    tx.query<{ now: string; environment: Environment; deleted: boolean }>(
      `select ${isoColumn('handoff_now()')} as now, environment, deleted_at is not null as deleted
       from application where application_id = $1`,
      [applicationId],
    ),
    storedKinds(tx, applicationId, externalIds),
  ]);
  if (application === undefined) throw new Error('an import belongs to an application');
  return { ...application, stored };
}

/** {@link SessionStore.storedKinds} */
export async function storedKinds(
  tx: Transaction,
  applicationId: string,
  externalIds: readonly string[],
): Promise<Map<string, SessionKind>> {
  const rows = await tx.query<{ externalId: string; kind: SessionKind }>(
    `select external_id as "externalId", session_kind as kind from session
     where application_id = $1 and external_id = any ($2::text[])`,
    [applicationId, externalIds],
  );
  return new Map(rows.map(({ externalId, kind }) => [externalId, kind]));
}
