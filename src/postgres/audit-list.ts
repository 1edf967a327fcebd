import type { ActorKind } from '../domain/events.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** An event of the audit trail, and its place in the chain. Hashes are hexadecimal, times ISO 8601. */
export interface AuditRow {
  readonly eventId: string;
  readonly type: string;
  readonly subjectId: string;
  readonly sessionId: string | null;
  readonly tokenId: string | null;
  readonly keyId: string | null;
  readonly actorKind: ActorKind;
  readonly actorId: string | null;
  readonly reason: string | null;
  readonly requestId: string | null;
  /** Null for what nobody was told of. */
  readonly sequence: number | null;
  readonly digest: string | null;
  readonly beforeSha256: string | null;
  readonly afterSha256: string | null;
  readonly createdAt: string;
  /** All null until the event is sealed. */
  readonly position: number | null;
  readonly rowSha256: string | null;
  readonly chainSha256: string | null;
  readonly sealedAt: string | null;
}

/** Which events are wanted. */
export interface AuditFilter {
  readonly type?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly tokenId?: string | undefined;
  readonly subjectId?: string | undefined;
  readonly actorKind?: ActorKind | undefined;
  readonly actorId?: string | undefined;
  readonly requestId?: string | undefined;
  /** ISO 8601, both ends included. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

const CONDITIONS: Readonly<Record<keyof AuditFilter, (parameter: string) => string>> = {
  type: (parameter) => `e.type = ${parameter}`,
  sessionId: (parameter) => `e.session_id = ${parameter}`,
  tokenId: (parameter) => `e.token_id = ${parameter}`,
  subjectId: (parameter) => `e.subject_id = ${parameter}`,
  actorKind: (parameter) => `e.actor_kind = ${parameter}`,
  actorId: (parameter) => `e.actor_id = ${parameter}`,
  requestId: (parameter) => `e.request_id = ${parameter}`,
  since: (parameter) => `e.created_at >= ${parameter}::timestamptz`,
  until: (parameter) => `e.created_at <= ${parameter}::timestamptz`,
};

const COLUMNS = `e.event_id as "eventId", e.type, e.subject_id as "subjectId", e.session_id as "sessionId",
  e.token_id as "tokenId", e.key_id as "keyId", e.actor_kind as "actorKind", e.actor_id as "actorId", e.reason,
  e.request_id as "requestId", e.sequence::float8 as sequence, encode(e.digest, 'hex') as digest,
  encode(e.before_sha256, 'hex') as "beforeSha256", encode(e.after_sha256, 'hex') as "afterSha256",
  ${isoColumn('e.created_at')} as "createdAt", c.position::float8 as position,
  encode(c.row_sha256, 'hex') as "rowSha256", encode(c.chain_sha256, 'hex') as "chainSha256",
  ${isoColumn('c.sealed_at')} as "sealedAt"`;

/** Rows of `page`, the ids of events, newest first. */
const ROWS = `select ${COLUMNS} from page join event e on e.event_id = page.event_id
  left join audit_chain c on c.event_id = e.event_id order by e.created_at desc, e.event_id desc`;

/** All events of an application: none is counted that is sealed. One statement, whose two parts see the same moment. */
const COUNT = `select (select coalesce(max(c.position), 0) from audit_chain c where c.application_id = $1)::float8
  + (select count(*) from audit_unsealed u where u.application_id = $1)::float8 as count`;

/** A page of an application's events, newest first, and how many there are. */
export async function listAuditEvents(
  tx: Transaction,
  applicationId: string,
  filter: AuditFilter,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: AuditRow[] }> {
  const values: unknown[] = [applicationId];
  const conditions = Object.entries(CONDITIONS).flatMap(([name, condition]) => {
    const value = filter[name as keyof AuditFilter];
    if (value === undefined) return [];
    values.push(value);
    return [`and ${condition(`$${values.length}`)}`];
  });
  const where = `from event e where e.application_id = $1 ${conditions.join(' ')}`;
  const [[total], rows] = await Promise.all([
    tx.query<{ count: number }>(conditions.length === 0 ? COUNT : `select count(*)::float8 as count ${where}`, values),
    tx.query<AuditRow & Record<string, unknown>>(
      `with page as (
         select e.event_id ${where} order by e.created_at desc, e.event_id desc
         limit $${values.length + 1} offset $${values.length + 2}
       ) ${ROWS}`,
      [...values, page.limit, page.offset],
    ),
  ]);
  return { count: total?.count ?? 0, rows };
}

/** The newest events of an application about a session, or about the token that brought it, and how many there are. */
export async function listEventsOfSession(
  tx: Transaction,
  applicationId: string,
  of: { readonly sessionId: string; readonly tokenId: string | null },
  limit: number,
): Promise<{ count: number; rows: AuditRow[] }> {
  const found = `found as (
    select e.event_id, e.created_at from event e where e.application_id = $1 and e.session_id = $2
    union select e.event_id, e.created_at from event e where e.application_id = $1 and e.token_id = $3
  )`;
  const values = [applicationId, of.sessionId, of.tokenId];
  const [[total], rows] = await Promise.all([
    tx.query<{ count: number }>(`with ${found} select count(*)::float8 as count from found`, values),
    tx.query<AuditRow & Record<string, unknown>>(
      `with ${found}, page as (select event_id from found order by created_at desc, event_id desc limit $4) ${ROWS}`,
      [...values, limit],
    ),
  ]);
  return { count: total?.count ?? 0, rows };
}
