import { FINISHED_STATUSES } from '../domain/session-status.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type {
  ImportFacts,
  MintFacts,
  SealedCheck,
  SessionRow,
  SessionStore,
  StoredDecision,
  WorkflowVersion,
} from '../sharing/ports.ts';
import { cloneChecks, insertClones } from './clones.ts';
import { keysToShare } from './data-keys.ts';
import { anyBlocked, businessIdOf, touchEntities } from './entities.ts';
import { deleteSessionMedia, insertSessionMedia, lockCheck, readableMedia, replaceCheck } from './media.ts';
import { insertContents, insertSearchTerms, storedKinds, takeInManyFacts } from './session-contents.ts';
import { deleteSessions, lockForDeletion } from './session-deletion.ts';
import { REVIEW_ACTIVITY } from './session-reviews.ts';
import { isoColumn, sessionColumns, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';
import { namedWorkflow } from './verification-workflows.ts';

/** SQL of sessions, their checks, people and entities. */
export function sessionStore(tx: Transaction): SessionStore {
  return {
    mintFacts: (sessionId, issuerId, partnerId) => mintFacts(tx, sessionId, issuerId, partnerId),
    keysToShare: (sessionId, issuerId) => keysToShare(tx, sessionId, issuerId),
    importFacts: (share, chosenWorkflowId) => importFacts(tx, share, chosenWorkflowId),
    cloneChecks: (order) => cloneChecks(tx, order),
    insertClones: (order) => insertClones(tx, order),
    touchEntities: (applicationId, sessions) => touchEntities(tx, applicationId, sessions),
    businessIdOf: (session) => businessIdOf(tx, session),
    anyBlocked: (applicationId, entities) => anyBlocked(tx, applicationId, entities),
    takeNumbers: (applicationId, counts) => takeNumbers(tx, applicationId, counts),
    takeInFacts: (applicationId, externalId) => takeInFacts(tx, applicationId, externalId),
    storedKinds: (applicationId, externalIds) => storedKinds(tx, applicationId, externalIds),
    takeInManyFacts: (applicationId, externalIds) => takeInManyFacts(tx, applicationId, externalIds),
    insertContent: (session, content, searchTerms) =>
      insertContents(tx, session.applicationId, [{ session, content, searchTerms }]),
    insertContents: (applicationId, sessions) => insertContents(tx, applicationId, sessions),
    insertMedia: (session, files) => insertSessionMedia(tx, session, files),
    deleteMedia: (session, mediaIds) => deleteSessionMedia(tx, session, mediaIds),
    lockCheck: (session, check) => lockCheck(tx, session, check),
    replaceCheck: (session, check) => replaceCheck(tx, session, check),
    insertSearchTerms: (applicationId, sessions) => insertSearchTerms(tx, applicationId, sessions),
    lockForDeletion: (applicationId, sessionId) => lockForDeletion(tx, applicationId, sessionId),
    delete: (applicationId, sessionIds) => deleteSessions(tx, applicationId, sessionIds),
    readDecision: (applicationId, sessionId) => readDecision(tx, applicationId, sessionId),
  };
}

/** Select expression of the first of two joined workflows that is there, as a `WorkflowVersion`. */
function firstWorkflow(first: string, second: string): string {
  const either = (column: string) => `coalesce(${first}.${column}, ${second}.${column})`;
  return `case when ${either('workflow_id')} is not null then
    jsonb_build_object('workflowId', ${either('workflow_id')}, 'version', ${either('published_version')}) end`;
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
       (select kid from signing_key where state = 'active') as active_kid,
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
       where p.session_id = any (array(select person_session_id from session_person_found where session_id = $1))
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
      chosen: ImportFacts['chosenWorkflow'];
      default_user: WorkflowVersion | null;
      default_business: WorkflowVersion | null;
    }>(
      `select i.deleted_at is not null as issuer_deleted, p.deleted_at is not null as partner_deleted, p.environment,
         c.status = 'active' as active,
         coalesce(c.suspended_by_issuer_at, c.suspended_by_partner_at) is not null as suspended,
         c.trust_review, c.vendor_data_rule, r.session_id as living_session_id,
         case when w.workflow_id is not null then jsonb_build_object('workflowId', w.workflow_id,
           'kind', w.session_kind, 'version', w.named_version) end as chosen,
         ${firstWorkflow('cu', 'du')} as default_user, ${firstWorkflow('cb', 'db')} as default_business
       from application p
       join application i on i.application_id = $1
       left join connection c on c.issuer_id = $1 and c.partner_id = $2
       left join redemption r on r.source_session_id = $3 and r.partner_id = $2 and r.released_at is null
       left join (${namedWorkflow('$2', '$4')}) w on true
       left join verification_workflow cu on cu.workflow_id = c.user_workflow_id and cu.application_id = $2
         and cu.session_kind = 'user' and cu.published_version is not null and c.status = 'active'
       left join verification_workflow cb on cb.workflow_id = c.business_workflow_id and cb.application_id = $2
         and cb.session_kind = 'business' and cb.published_version is not null and c.status = 'active'
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
    chosenWorkflow: row.chosen,
    defaults: { user: row.default_user, business: row.default_business },
  };
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

/** Reads again when the session was changed meanwhile: each statement sees the latest, and two contents must not mix. */
async function readDecision(tx: Transaction, applicationId: string, sessionId: string): Promise<StoredDecision | null> {
  for (;;) {
    const [before, checks, home, people, media, after] = await Promise.all([
      tx.query<SessionRow & { rowVersion: string }>(
        `select ${sessionColumns('s')}, s.xmin::text as "rowVersion" from session s
         where s.session_id = $1 and s.application_id = $2`,
        [sessionId, applicationId],
      ),
      tx.query<SealedCheck>(
        `select category, position, with_key(session_id, payload) as payload from session_check where session_id = $1 and application_id = $2
         order by category, position`,
        [sessionId, applicationId],
      ),
      tx.query<StoredDecision['home'][number]>(
        `select category, position, with_key(session_id, payload) as payload from session_home
         where session_id = $1 and application_id = $2 and category <> '${REVIEW_ACTIVITY}'`,
        [sessionId, applicationId],
      ),
      tx.query<StoredDecision['people'][number]>(
        `select category, position, pointer, reference, person_session_id as "personSessionId"
         from session_person_found where session_id = $1 and application_id = $2`,
        [sessionId, applicationId],
      ),
      readableMedia(tx, applicationId, sessionId),
      tx.query<{ rowVersion: string }>(
        `select xmin::text as "rowVersion" from session where session_id = $1 and application_id = $2`,
        [sessionId, applicationId],
      ),
    ]);
    if (before[0] === undefined) return null;
    const { rowVersion, ...session } = before[0];
    if (after[0]?.rowVersion === rowVersion) return { session, checks, home, people, media };
  }
}
