import { FINISHED_STATUSES } from '../domain/session-status.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type {
  ImportFacts,
  MintFacts,
  SealedCheck,
  SessionRow,
  SessionStore,
  StoredDecision,
} from '../sharing/ports.ts';
import { cloneChecks, insertClones } from './clones.ts';
import { deleteSessions, lockForDeletion } from './session-deletion.ts';
import { insertSessions, isoColumn, SESSION_RECORD, sessionColumns, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** SQL of sessions, their checks, people and entities. */
export function sessionStore(tx: Transaction): SessionStore {
  return {
    mintFacts: (sessionId, issuerId, partnerId) => mintFacts(tx, sessionId, issuerId, partnerId),
    importFacts: (share, chosenWorkflowId) => importFacts(tx, share, chosenWorkflowId),
    cloneChecks: (order) => cloneChecks(tx, order),
    insertClones: (order) => insertClones(tx, order),
    touchEntities: (applicationId, entities) => touchEntities(tx, applicationId, entities),
    anyBlocked: (applicationId, entities) => anyBlocked(tx, applicationId, entities),
    takeNumbers: (applicationId, counts) => takeNumbers(tx, applicationId, counts),
    takeInFacts: (applicationId, externalId) => takeInFacts(tx, applicationId, externalId),
    insertContent: (session, content, terms) => insertContent(tx, session, content, terms),
    insertSearchTerms: (applicationId, sessions) => insertSearchTerms(tx, applicationId, sessions),
    lockForDeletion: (applicationId, sessionId) => lockForDeletion(tx, applicationId, sessionId),
    delete: (applicationId, sessionIds) => deleteSessions(tx, applicationId, sessionIds),
    readDecision: (applicationId, sessionId) => readDecision(tx, applicationId, sessionId),
  };
}

async function mintFacts(tx: Transaction, sessionId: string, issuerId: string, partnerId: string): Promise<MintFacts> {
  const [row] = await tx.query<{
    now: number;
    active_kid: string | null;
    kind: SessionKind | null;
    status: SessionRow['status'];
    environment: SessionRow['environment'];
    issuer_deleted: boolean | null;
    partner_environment: SessionRow['environment'] | null;
    partner_deleted: boolean;
    active: boolean | null;
    suspended: boolean;
    acceptance: NonNullable<MintFacts['connection']>['acceptance'];
  }>(
    `select floor(extract(epoch from handoff_now()))::float8 as now,
       (select kid from signing_key where active) as active_kid,
       s.session_kind as kind, s.status, s.environment, i.deleted_at is not null as issuer_deleted,
       p.environment as partner_environment, p.deleted_at is not null as partner_deleted,
       c.status = 'active' as active, coalesce(c.suspended_by_issuer_at, c.suspended_by_partner_at) is not null as suspended,
       c.acceptance
     from (select 1) one
     left join session s on s.session_id = $1 and s.application_id = $2
     left join application i on i.application_id = $2
     left join application p on p.application_id = $3
     left join connection c on c.issuer_id = $2 and c.partner_id = $3`,
    [sessionId, issuerId, partnerId],
  );
  if (row === undefined) throw new Error('mintFacts always has a row');
  return {
    nowSeconds: row.now,
    activeKid: row.active_kid,
    session: row.kind === null ? null : { kind: row.kind, status: row.status, environment: row.environment },
    issuerDeleted: row.issuer_deleted === true,
    partner:
      row.partner_environment === null ? null : { environment: row.partner_environment, deleted: row.partner_deleted },
    connection:
      row.active === null ? null : { active: row.active, suspended: row.suspended, acceptance: row.acceptance },
  };
}

async function importFacts(
  tx: Transaction,
  share: Parameters<SessionStore['importFacts']>[0],
  chosenWorkflowId: string | undefined,
): Promise<ImportFacts> {
  const [sources, people, [row]] = await Promise.all([
    tx.query<SessionRow>(
      `select ${sessionColumns('s')} from session s where s.session_id = $1 and s.application_id = $2 for share of s`,
      [share.sessionId, share.issuerId],
    ),
    tx.query<SessionRow>(
      `select ${sessionColumns('p')} from session p
       where p.session_id in (select person_session_id from session_person_found where session_id = $1)
         and p.application_id = $2 and p.environment = $3 and p.status = any ($4)
       order by p.session_id for share of p`,
      [share.sessionId, share.issuerId, share.environment, FINISHED_STATUSES],
    ),
    tx.query<{
      issuer_deleted: boolean;
      partner_deleted: boolean;
      environment: SessionRow['environment'];
      active: boolean | null;
      suspended: boolean;
      trust_review: boolean;
      vendor_data_rule: 'prefixed' | 'same';
      living_session_id: string | null;
      chosen_id: string | null;
      chosen_kind: SessionKind;
      default_user: string | null;
      default_business: string | null;
    }>(
      `select i.deleted_at is not null as issuer_deleted, p.deleted_at is not null as partner_deleted, p.environment,
         c.status = 'active' as active,
         coalesce(c.suspended_by_issuer_at, c.suspended_by_partner_at) is not null as suspended,
         c.trust_review, c.vendor_data_rule, r.session_id as living_session_id,
         w.workflow_id as chosen_id, w.session_kind as chosen_kind,
         coalesce(cu.workflow_id, du.workflow_id) as default_user,
         coalesce(cb.workflow_id, db.workflow_id) as default_business
       from application p
       join application i on i.application_id = $1
       left join connection c on c.issuer_id = $1 and c.partner_id = $2
       left join redemption r on r.source_session_id = $3 and r.partner_id = $2 and r.released_at is null
       left join verification_workflow w on w.workflow_id = $4 and w.application_id = $2
       left join verification_workflow cu on cu.workflow_id = c.user_workflow_id and cu.application_id = $2
         and cu.session_kind = 'user' and c.status = 'active'
       left join verification_workflow cb on cb.workflow_id = c.business_workflow_id and cb.application_id = $2
         and cb.session_kind = 'business' and c.status = 'active'
       left join verification_workflow du on du.application_id = $2 and du.session_kind = 'user' and du.is_default
       left join verification_workflow db on db.application_id = $2 and db.session_kind = 'business' and db.is_default
       where p.application_id = $2`,
      [share.issuerId, share.partnerId, share.sessionId, uuidOrNull(chosenWorkflowId)],
    ),
  ]);
  if (row === undefined) throw new Error('applications are never deleted as rows');
  return {
    source: sources[0] ?? null,
    people,
    issuer: { deleted: row.issuer_deleted },
    partner: { environment: row.environment, deleted: row.partner_deleted },
    connection:
      row.active === null
        ? null
        : {
            active: row.active,
            suspended: row.suspended,
            trustReview: row.trust_review,
            vendorDataRule: row.vendor_data_rule,
          },
    livingImport: row.living_session_id === null ? null : { sessionId: row.living_session_id },
    chosenWorkflow: row.chosen_id === null ? null : { workflowId: row.chosen_id, kind: row.chosen_kind },
    defaults: { user: row.default_user, business: row.default_business },
  };
}

type Entities = readonly { kind: SessionKind; vendorData: string }[];

async function touchEntities(tx: Transaction, applicationId: string, entities: Entities): Promise<boolean> {
  if (entities.length === 0) return false;
  const columns = [applicationId, entities.map(({ kind }) => kind), entities.map(({ vendorData }) => vendorData)];
  tx.send(
    `insert into entity (entity_id, application_id, session_kind, vendor_data)
     select gen_random_uuid(), $1, kind, vendor_data
     from (select distinct * from unnest($2::text[], $3::text[]) as e(kind, vendor_data)) wanted
     order by kind, vendor_data
     on conflict (application_id, session_kind, vendor_data) do nothing`,
    columns,
  );
  // A shared lock: blocking the entity waits for this import, or is seen by it.
  const rows = await tx.query<{ status: string }>(
    `select e.status from entity e join unnest($2::text[], $3::text[]) as w(kind, vendor_data)
       on w.kind = e.session_kind and w.vendor_data = e.vendor_data
     where e.application_id = $1 for share of e`,
    columns,
  );
  return rows.some(({ status }) => status === 'BLOCKED');
}

async function anyBlocked(tx: Transaction, applicationId: string, entities: Entities): Promise<boolean> {
  if (entities.length === 0) return false;
  const rows = await tx.query(
    `select 1 from entity e join unnest($2::text[], $3::text[]) as w(kind, vendor_data)
       on w.kind = e.session_kind and w.vendor_data = e.vendor_data
     where e.application_id = $1 and e.status = 'BLOCKED' limit 1`,
    [applicationId, entities.map(({ kind }) => kind), entities.map(({ vendorData }) => vendorData)],
  );
  return rows.length > 0;
}

const TAKE_NUMBERS = `insert into session_counter (application_id, session_kind, last_number, living)
  select $1, kind, n, n from unnest($2::text[], $3::bigint[]) as c(kind, n) where n > 0 order by kind
  on conflict (application_id, session_kind) do update
    set last_number = session_counter.last_number + excluded.last_number, living = session_counter.living + excluded.living
  returning session_kind as kind, last_number::float8 as last`;

async function takeNumbers(
  tx: Transaction,
  applicationId: string,
  counts: Readonly<Record<SessionKind, number>>,
): Promise<Record<SessionKind, number[]>> {
  const rows = await tx.query<{ kind: SessionKind; last: number }>(TAKE_NUMBERS, [
    applicationId,
    ['business', 'user'],
    [counts.business, counts.user],
  ]);
  const numbers: Record<SessionKind, number[]> = { user: [], business: [] };
  for (const { kind, last } of rows) {
    numbers[kind] = Array.from({ length: counts[kind] }, (_, index) => last - counts[kind] + 1 + index);
  }
  return numbers;
}

async function takeInFacts(
  tx: Transaction,
  applicationId: string,
  externalId: string | null,
): ReturnType<SessionStore['takeInFacts']> {
  if (externalId !== null) {
    tx.send(`select pg_advisory_xact_lock(hashtextextended($1, 1))`, [`${applicationId}:${externalId}`]);
  }
  const [row] = await tx.query<{
    now: string;
    environment: SessionRow['environment'];
    deleted: boolean;
    session_id: string | null;
    kind: SessionKind;
  }>(
    `select ${isoColumn('handoff_now()')} as now, a.environment, a.deleted_at is not null as deleted,
       s.session_id, s.session_kind as kind
     from application a left join session s on s.application_id = a.application_id and s.external_id = $2
     where a.application_id = $1`,
    [applicationId, externalId],
  );
  if (row === undefined) throw new Error('an API key belongs to an application');
  const { now, environment, deleted, session_id, kind } = row;
  return { now, environment, deleted, stored: session_id === null ? null : { sessionId: session_id, kind } };
}

function insertContent(
  tx: Transaction,
  session: SessionRow,
  content: Omit<StoredDecision, 'session'>,
  searchTerms: readonly Buffer[],
): void {
  const { sessionId, applicationId } = session;
  for (const [table, rows] of [
    ['session_check', content.checks],
    ['session_home', content.home],
  ] as const) {
    tx.send(
      `insert into ${table} (session_id, application_id, category, position, payload)
       select $1, $2, * from unnest($3::text[], $4::int[], $5::bytea[])`,
      [
        sessionId,
        applicationId,
        rows.map(({ category }) => category),
        rows.map(({ position }) => position),
        rows.map(({ payload }) => payload),
      ],
    );
  }
  if (content.people.length > 0) {
    tx.send(
      `insert into session_person (session_id, application_id, category, position, pointer, reference, person_session_id)
       select $1, $2, * from unnest($3::text[], $4::int[], $5::text[], $6::text[], $7::uuid[])`,
      [
        sessionId,
        applicationId,
        content.people.map(({ category }) => category),
        content.people.map(({ position }) => position),
        content.people.map(({ pointer }) => pointer),
        content.people.map(({ reference }) => reference),
        content.people.map(({ reference }) => uuidOrNull(reference?.toLowerCase())),
      ],
    );
  }
  insertSearchTerms(tx, applicationId, [{ sessionId, terms: searchTerms }]);
  tx.send(
    `with counter as (
       insert into session_counter (application_id, session_kind, last_number, living) values ($1, $2, 1, 1)
       on conflict (application_id, session_kind) do update
         set last_number = session_counter.last_number + 1, living = session_counter.living + 1
       returning last_number
     )
     ${insertSessions('counter.last_number', `counter, jsonb_to_recordset($3::jsonb) as r(${SESSION_RECORD})`)}`,
    [applicationId, session.kind, JSON.stringify([session])],
  );
}

function insertSearchTerms(
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

async function readDecision(tx: Transaction, applicationId: string, sessionId: string): Promise<StoredDecision | null> {
  const [sessions, checks, home, people] = await Promise.all([
    tx.query<SessionRow>(
      `select ${sessionColumns('s')} from session s where s.session_id = $1 and s.application_id = $2`,
      [sessionId, applicationId],
    ),
    tx.query<SealedCheck>(
      `select category, position, payload from session_check where session_id = $1 and application_id = $2
       order by category, position`,
      [sessionId, applicationId],
    ),
    tx.query<StoredDecision['home'][number]>(
      `select category, position, payload from session_home where session_id = $1 and application_id = $2`,
      [sessionId, applicationId],
    ),
    tx.query<StoredDecision['people'][number]>(
      `select category, position, pointer, reference, person_session_id as "personSessionId"
       from session_person_found where session_id = $1 and application_id = $2`,
      [sessionId, applicationId],
    ),
  ]);
  const session = sessions[0];
  return session === undefined ? null : { session, checks, home, people };
}
