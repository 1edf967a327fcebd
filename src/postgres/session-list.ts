import type { CheckCategory, SessionKind } from '../domain/decision-categories.ts';
import { isUuid } from '../domain/ids.ts';
import type { SessionStatus } from '../domain/session-status.ts';
import type { ListedParts, ListedSession, SealedPart } from '../sharing/session-row-view.ts';
import { sessionColumns } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** What a list of sessions is narrowed by; an absent member narrows nothing. Values within one member are alternatives. */
export interface SessionFilter {
  readonly kinds: readonly SessionKind[];
  readonly statuses?: readonly SessionStatus[] | undefined;
  readonly vendorData?: string | undefined;
  /** UUIDs of verification workflows or of their versions. */
  readonly workflowIds?: readonly string[] | undefined;
  /** `YYYY-MM-DD`, UTC, inclusive. */
  readonly createdFrom?: string | undefined;
  readonly createdTo?: string | undefined;
  readonly countries?: readonly string[] | undefined;
  readonly documentTypes?: readonly string[] | undefined;
  readonly warnings?: readonly string[] | undefined;
  readonly sessionTypes?: readonly string[] | undefined;
  readonly entityId?: string | undefined;
  readonly startedInReview?: boolean | undefined;
  readonly personInReview?: boolean | undefined;
  /** An array that has to have items. */
  readonly category?: CheckCategory | undefined;
  /** Blind-index terms: sessions that have one of each group. */
  readonly terms?: readonly (readonly Buffer[])[] | undefined;
  readonly search?: { readonly text: string; readonly terms: readonly Buffer[] } | undefined;
}

/** A page of an application's sessions, the newest first, and how many there are in all. */
export async function listSessions(
  tx: Transaction,
  applicationId: string,
  filter: SessionFilter,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: ListedSession[] }> {
  const versions = filter.workflowIds === undefined ? [] : await versionsOf(tx, applicationId, filter.workflowIds);
  const { where, values, narrowed } = conditionsOf(applicationId, filter, versions);
  // Numbers of the two kinds do not compare; ids are ordered by time.
  const order = filter.kinds.length === 1 ? 'session_number' : 'session_id';
  const matching = `select s.* from session s where ${where}`;
  // Where few may match, the planner must not walk the newest sessions in the hope of a page: it would walk all of them.
  const source = narrowed && mayMatchFew(filter) ? `select * from (${matching} offset 0) s` : matching;
  const [rows, [counted]] = await Promise.all([
    tx.query<ListedSession>(
      `with page as (
         ${source} order by s.${order} desc
         limit $${values.length + 1} offset $${values.length + 2}
       )
       select ${sessionColumns('p')}, e.entity_id as "entityId", w.label as "workflowLabel"
       from page p
       left join entity e on e.application_id = p.application_id and e.session_kind = p.session_kind
         and e.vendor_data = p.vendor_data
       left join verification_workflow w on w.workflow_id = p.workflow_id and w.application_id = p.application_id
       order by p.${order} desc`,
      [...values, page.limit, page.offset],
    ),
    narrowed
      ? tx.query<{ count: number }>(`select count(*)::float8 as count from session s where ${where}`, values)
      : tx.query<{ count: number }>(
          `select coalesce(sum(living), 0)::float8 as count from session_counter
           where application_id = $1 and session_kind = any ($2)`,
          [applicationId, filter.kinds],
        ),
  ]);
  return { count: counted?.count ?? 0, rows };
}

/** What the rows of a page show of sealed content: items of these arrays, and of people their owner's settings. */
export async function partsOfSessions(
  tx: Transaction,
  applicationId: string,
  wanted: Readonly<Record<SessionKind, { sessionIds: readonly string[]; categories: readonly CheckCategory[] }>>,
): Promise<ListedParts> {
  const { user, business } = wanted;
  const [parts, files, [clock]] = await Promise.all([
    tx.query<SealedPart & Record<string, unknown>>(
      `select session_id as "sessionId", category, position, with_key(session_id, payload) as payload from session_check
     where application_id = $1 and (session_id = any ($2::uuid[]) and category = any ($3)
       or session_id = any ($4::uuid[]) and category = any ($5))
     union all
     select session_id, category, position, with_key(session_id, payload) from session_home
     where application_id = $1 and session_id = any ($2::uuid[]) and category = ''
     order by "sessionId", category, position`,
      [applicationId, user.sessionIds, user.categories, business.sessionIds, business.categories],
    ),
    tx.query<ListedParts['files'][number] & Record<string, unknown>>(
      `select session_id as "sessionId", media_id as "mediaId" from session_media
     where application_id = $1 and session_id = any ($2::uuid[]) and object_key is not null`,
      [applicationId, user.sessionIds],
    ),
    tx.query<{ now: number }>('select floor(extract(epoch from handoff_now()))::float8 as now'),
  ]);
  if (clock === undefined) throw new Error('a look at the clock has a row');
  return { parts, files, nowSeconds: clock.now };
}

interface WorkflowVersion {
  readonly workflowId: string;
  readonly version: number;
}

/** Single versions that are named by their own id. The first version's is the workflow's, and names all of them. */
function versionsOf(tx: Transaction, applicationId: string, ids: readonly string[]): Promise<WorkflowVersion[]> {
  return tx.query<WorkflowVersion & Record<string, unknown>>(
    `select workflow_id as "workflowId", version from verification_workflow_version
     where application_id = $1 and version_id = any ($2::uuid[]) and version_id <> workflow_id`,
    [applicationId, ids],
  );
}

/** Whether no index has the matching sessions in their order, though one finds them. */
function mayMatchFew({ kinds, statuses, vendorData, workflowIds, entityId, terms, search }: SessionFilter): boolean {
  const indexed = [vendorData, entityId, terms, search].some((given) => given !== undefined);
  return (
    indexed || kinds.length > 1 || [statuses, workflowIds].some((given) => given !== undefined && given.length > 1)
  );
}

function conditionsOf(
  applicationId: string,
  filter: SessionFilter,
  versions: readonly WorkflowVersion[],
): { where: string; values: unknown[]; narrowed: boolean } {
  const values: unknown[] = [applicationId];
  const conditions: string[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  // An equality keeps an index's order, which a list of one does not.
  const oneOf = (column: string, given: readonly string[], type = 'text') =>
    given.length === 1 ? `${column} = ${value(given[0])}::${type}` : `${column} = any (${value(given)}::${type}[])`;
  const among = (column: string, given: readonly string[] | undefined) => {
    if (given !== undefined) conditions.push(oneOf(column, given));
  };

  among('s.status', filter.statuses);
  among('s.country', filter.countries);
  among('s.document_type', filter.documentTypes);
  among('s.session_type', filter.sessionTypes);
  if (filter.vendorData !== undefined) conditions.push(`s.vendor_data = ${value(filter.vendorData)}`);
  if (filter.warnings !== undefined) conditions.push(`s.warnings && ${value(filter.warnings)}::text[]`);
  if (filter.createdFrom !== undefined) {
    conditions.push(`s.created_at >= ${value(filter.createdFrom)}::date::timestamp at time zone 'UTC'`);
  }
  if (filter.createdTo !== undefined) {
    conditions.push(`s.created_at < (${value(filter.createdTo)}::date + 1)::timestamp at time zone 'UTC'`);
  }
  if (filter.workflowIds !== undefined) {
    const alternatives = [
      oneOf('s.workflow_id', filter.workflowIds, 'uuid'),
      ...versions.map(
        ({ workflowId, version }) =>
          `s.workflow_id = ${value(workflowId)}::uuid and s.workflow_version = ${value(version)}::int`,
      ),
    ];
    conditions.push(`(${alternatives.join(' or ')})`);
  }
  if (filter.entityId !== undefined) {
    conditions.push(`(s.session_kind, s.vendor_data) in (
      select e.session_kind, e.vendor_data from entity e
      where e.application_id = $1 and e.entity_id = ${value(filter.entityId)}::uuid)`);
  }
  if (filter.startedInReview !== undefined) {
    conditions.push(`(coalesce(s.first_status, s.status) = 'In Review') = ${value(filter.startedInReview)}::boolean`);
  }
  if (filter.personInReview !== undefined) {
    const inReview = `s.session_kind = 'user' and s.status = 'In Review'`;
    conditions.push(filter.personInReview ? inReview : `not (${inReview})`);
  }
  if (filter.category !== undefined) {
    conditions.push(`exists (select 1 from session_check c where c.session_id = s.session_id
      and c.application_id = $1 and c.category = ${value(filter.category)})`);
  }
  for (const group of filter.terms ?? []) {
    conditions.push(`s.session_id in (select t.session_id from session_search t
      where t.application_id = $1 and t.term = any (${value(group)}::bytea[]))`);
  }
  if (filter.search !== undefined) conditions.push(`s.session_id in (${foundBy(filter.search, value)})`);

  const narrowed = conditions.length > 0;
  if (filter.kinds.length === 1) conditions.unshift(`s.session_kind = ${value(filter.kinds[0])}`);
  return { where: ['s.application_id = $1', ...conditions].join(' and '), values, narrowed };
}

/** Sessions by what a text may be: each way has its index. */
function foundBy({ text, terms }: NonNullable<SessionFilter['search']>, value: (given: unknown) => string): string {
  const ways = [
    `select f.session_id from session f where f.application_id = $1 and f.vendor_data = ${value(text)}`,
    `select t.session_id from session_search t where t.application_id = $1 and t.term = any (${value(terms)}::bytea[])`,
  ];
  if (isUuid(text.toLowerCase())) ways.push(`select ${value(text)}::uuid`);
  if (/^\d{1,15}$/.test(text)) {
    ways.push(`select f.session_id from session f where f.application_id = $1
      and f.session_kind in ('user', 'business') and f.session_number = ${value(text)}::bigint`);
  }
  return ways.join(' union all ');
}
