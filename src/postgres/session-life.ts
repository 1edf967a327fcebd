import { DEFAULT_SETTINGS } from '../domain/verification-workflow.ts';
import type { CreationFacts, LockedSession, NewSession, SessionLifeStore, SessionRow } from '../sharing/ports.ts';
import { dataKeyOf, keyColumn, type StoredKey } from './data-keys.ts';
import { insertContentRows } from './session-contents.ts';
import { REVIEW_ACTIVITY } from './session-reviews.ts';
import { isoColumn, SESSION_RECORD, sessionColumns, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';
import { namedWorkflow } from './verification-workflows.ts';

/** Statuses in which a session still waits for its customer. */
const UNFINISHED = [
  'Not Started',
  'In Progress',
  'Resubmitted',
  'Awaiting User',
] as const satisfies SessionRow['status'][];

/** SQL of how sessions begin, change and go. */
export function sessionLifeStore(tx: Transaction): SessionLifeStore {
  return {
    creationFacts: (applicationId, workflowId, vendorData) => creationFacts(tx, applicationId, workflowId, vendorData),
    setHostedToken: ({ applicationId, sessionId }, sha256) =>
      tx.send('update session set hosted_token_sha256 = $3 where session_id = $1 and application_id = $2', [
        sessionId,
        applicationId,
        sha256,
      ]),
    setSettings: ({ applicationId, sessionId }, payload) => {
      tx.send(
        `update session_home set payload = $3
         where session_id = $1 and application_id = $2 and category = '' and position = 0`,
        [sessionId, applicationId, payload],
      );
      tx.send('update session set updated_at = handoff_now() where session_id = $1 and application_id = $2', [
        sessionId,
        applicationId,
      ]);
    },
    lock: (applicationId, sessionId) =>
      locked(tx, 's.session_id = $2 and s.application_id = $1', [applicationId, sessionId]),
    setStatus: ({ applicationId, sessionId, status }) =>
      tx.send(
        'update session set status = $3, updated_at = handoff_now() where session_id = $1 and application_id = $2',
        [sessionId, applicationId, status],
      ),
    insertReview: (session, position, parts) => insertReview(tx, session, position, parts),
    fill: (session) => fill(tx, session),
    lockUserSessions: (applicationId, which, limit) => lockUserSessions(tx, applicationId, which, limit),
    lastUserNumber: async (applicationId) => {
      const [row] = await tx.query<{ last: number }>(
        `select coalesce(max(session_number), 0)::float8 as last from session
         where application_id = $1 and session_kind = 'user'`,
        [applicationId],
      );
      return row?.last ?? 0;
    },
  };
}

/** The session that a hosted flow's token belongs to. Run it in the crossing `authenticate`. */
export async function findHostedSession(
  tx: Transaction,
  tokenSha256: Buffer,
): Promise<Pick<SessionRow, 'applicationId' | 'sessionId' | 'kind'> | null> {
  const [row] = await tx.query<Pick<SessionRow, 'applicationId' | 'sessionId' | 'kind'>>(
    `select application_id as "applicationId", session_id as "sessionId", session_kind as kind
     from session where hosted_token_sha256 = $1`,
    [tokenSha256],
  );
  return row ?? null;
}

async function creationFacts(
  tx: Transaction,
  applicationId: string,
  workflowId: string,
  vendorData: string | null,
): Promise<CreationFacts> {
  if (vendorData !== null) {
    tx.send('select pg_advisory_xact_lock(hashtextextended($1, 2))', [`${applicationId}:${vendorData}`]);
  }
  const parameters = [applicationId, uuidOrNull(workflowId)];
  const [[application], [workflow], unfinished] = await Promise.all([
    tx.query<Pick<CreationFacts, 'now' | 'environment' | 'deleted' | 'peopleWorkflow'>>(
      `select ${isoColumn('handoff_now()')} as now, a.environment, a.deleted_at is not null as deleted,
         (select jsonb_build_object('workflowId', w.workflow_id, 'version', w.published_version)
          from verification_workflow w
          where w.application_id = $1 and w.session_kind = 'user' and w.is_default and w.published_version is not null)
           as "peopleWorkflow"
       from application a where a.application_id = $1`,
      [applicationId],
    ),
    tx.query<NonNullable<CreationFacts['workflow']> & Record<string, unknown>>(
      `select w.workflow_id as "workflowId", w.named_version as version, w.session_kind as kind,
         array(select step ->> 'feature' from jsonb_array_elements(v.features) with ordinality as s(step, place)
               order by place) as features,
         ${isoColumn(
           `(handoff_now() + make_interval(secs => coalesce((v.settings ->> 'session_expiration_time')::float8, $3)))`,
         )} as "expiresAt"
       from (${namedWorkflow('$1', '$2')}) w
       left join verification_workflow_version v on v.workflow_id = w.workflow_id and v.version = w.named_version`,
      [...parameters, DEFAULT_SETTINGS.session_expiration_time],
    ),
    vendorData === null
      ? null
      : locked(
          tx,
          `s.session_id = (
             select open.session_id from session open
             join (${namedWorkflow('$1', '$2')}) w
               on w.workflow_id = open.workflow_id and w.named_version = open.workflow_version
             where open.application_id = $1 and open.vendor_data = $3 and open.status = any ($4)
               and open.hosted_token_sha256 is not null and open.expires_at > handoff_now()
             order by open.session_number desc limit 1)
           and s.application_id = $1 and s.status = any ($4)`,
          [...parameters, vendorData, UNFINISHED],
        ),
  ]);
  if (application === undefined) throw new Error('an API key belongs to an application');
  return { ...application, workflow: workflow ?? null, unfinished };
}

/** Locks the session that a condition names, and reads what its changes need. */
async function locked(tx: Transaction, where: string, values: readonly unknown[]): Promise<LockedSession | null> {
  const [session] = await tx.query<SessionRow>(
    `select ${sessionColumns('s')} from session s where ${where} for update of s`,
    values,
  );
  if (session === undefined) return null;
  // A statement of its own: one that waited for the lock still sees what was there before it waited.
  const [more] = await tx.query<Omit<LockedSession, 'session' | 'key'> & { key: StoredKey }>(
    `select ${isoColumn('handoff_now()')} as now, ${keyColumn('$1')} as key,
       (select coalesce(max(position) + 1, 0) from session_check
        where session_id = $1 and application_id = $2 and category = 'reviews') as "nextReview",
       (select with_key(session_id, payload) from session_home
        where session_id = $1 and application_id = $2 and category = '') as settings`,
    [session.sessionId, session.applicationId],
  );
  if (more === undefined) throw new Error('a select without from has a row');
  return { session, ...more, key: dataKeyOf(more.key) };
}

function insertReview(
  tx: Transaction,
  { applicationId, sessionId }: SessionRow,
  position: number,
  { shared, home, activity }: Parameters<SessionLifeStore['insertReview']>[2],
): void {
  tx.send(
    `insert into session_check (session_id, application_id, category, position, payload) values ($1, $2, 'reviews', $3, $4)`,
    [sessionId, applicationId, position, shared],
  );
  tx.send(
    `insert into session_home (session_id, application_id, category, position, payload)
     select $1, $2, category, $3, payload from unnest($4::text[], $5::bytea[]) as h(category, payload)
     where payload is not null`,
    [sessionId, applicationId, position, ['reviews', REVIEW_ACTIVITY], [home, activity]],
  );
}

function fill(tx: Transaction, filled: NewSession): void {
  const { session, content } = filled;
  const home = content.home.filter(({ category }) => category !== '');
  insertContentRows(tx, session.applicationId, [{ ...filled, content: { ...content, home } }]);
  tx.send(
    `update session s set status = r.status, first_status = r."firstStatus",
       features = array(select jsonb_array_elements_text(r.features)), nfc_skip_reason = r."nfcSkipReason",
       document_expires_on = r."documentExpiresOn", country = r.country, document_type = r."documentType",
       warnings = array(select jsonb_array_elements_text(r.warnings)), expires_at = r."expiresAt",
       updated_at = handoff_now()
     from jsonb_to_recordset($3::jsonb) as r(${SESSION_RECORD})
     where s.session_id = $1 and s.application_id = $2`,
    [session.sessionId, session.applicationId, JSON.stringify([session])],
  );
}

async function lockUserSessions(
  tx: Transaction,
  applicationId: string,
  which: Parameters<SessionLifeStore['lockUserSessions']>[1],
  limit: number,
): Promise<{ sessionId: string; number: number }[]> {
  const [condition, value] =
    'numbers' in which
      ? ['session_number = any ($2::bigint[])', which.numbers]
      : ['session_number <= $2::bigint', which.upTo];
  return tx.query(
    `select session_id as "sessionId", session_number::float8 as number from session
     where application_id = $1 and session_id in (
       select session_id from session where application_id = $1 and session_kind = 'user' and ${condition}
       order by session_number limit $3)
     order by session_id for update`,
    [applicationId, value, limit],
  );
}
