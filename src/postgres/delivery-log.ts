import type { JsonObject } from '../domain/json.ts';
import type { EventType } from '../domain/events.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { DELIVERIES_CHANNEL } from './deliveries.ts';
import { sealContextOfEvent } from './events.ts';
import { newId } from './new-id.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** One attempt, as the owner of its destination sees it. */
export interface AttemptRow {
  readonly attemptId: string;
  /** The reader's own session that the event is about. */
  readonly sessionId: string | null;
  readonly requestUrl: string;
  /** Null while nothing came back. */
  readonly responseStatus: number | null;
  /** Milliseconds; null until the attempt ended. */
  readonly responseTimeMs: number | null;
  /** `unknown`: its sender was killed, so that nobody knows whether it arrived. */
  readonly status: 'pending' | 'delivered' | 'failed' | 'unknown';
  readonly eventType: EventType;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** An attempt with all that its body was, or will be, made of. */
export interface AttemptDetail extends AttemptRow {
  readonly eventId: string;
  readonly sequence: number;
  /** Unix seconds. */
  readonly eventAt: number;
  /** Null when it was deleted with its session. */
  readonly payload: JsonObject | null;
  readonly payloadMode: 'full' | 'thin';
  readonly requestHeaders: Readonly<Record<string, string>> | null;
  /** The share token that the body carries. */
  readonly carriesToken: string | null;
}

/** Days in UTC, `YYYY-MM-DD`, both of them included. */
export interface AttemptFilter {
  readonly dateFrom?: string | undefined;
  readonly dateTo?: string | undefined;
}

const OUTCOME = `a.response_status as "responseStatus", a.duration_ms as "responseTimeMs",
  case a.state when 'started' then 'pending' else a.state end as status`;

const COLUMNS = `a.attempt_id as "attemptId", e.session_id as "sessionId", a.request_url as "requestUrl", ${OUTCOME}, e.type as "eventType",
  ${isoColumn('a.created_at')} as "createdAt"`;

const FROM = `from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id join event e on e.event_id = v.event_id`;

const IN_RANGE = `a.application_id = $1 and a.destination_id = $2
  and ($3::date is null or a.created_at >= $3::date::timestamp at time zone 'UTC')
  and ($4::date is null or a.created_at < ($4::date + 1)::timestamp at time zone 'UTC')`;

/** Attempts at one destination, newest first; null when the application has no such destination. */
export async function listAttempts(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  { dateFrom, dateTo }: AttemptFilter,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: AttemptRow[] } | null> {
  const range = [applicationId, destinationId, dateFrom ?? null, dateTo ?? null];
  const [there, [total], rows] = await Promise.all([
    tx.query(
      'select 1 from webhook_destination where application_id = $1 and destination_id = $2 and deleted_at is null',
      [applicationId, destinationId],
    ),
    tx.query<{ count: number }>(`select count(*)::int as count from delivery_attempt a where ${IN_RANGE}`, range),
    tx.query<AttemptRow>(
      `select ${COLUMNS} ${FROM} where ${IN_RANGE} order by a.created_at desc, a.attempt_id desc limit $5 offset $6`,
      [...range, page.limit, page.offset],
    ),
  ]);
  return there.length === 0 ? null : { count: total?.count ?? 0, rows };
}

/** Attempts about one session, at any destination that is not deleted; null when the application has no such session. */
export async function listAttemptsOfSession(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: AttemptRow[] } | null> {
  const from = `${FROM} join webhook_destination d on d.destination_id = a.destination_id and d.deleted_at is null
    where a.application_id = $1 and e.application_id = $1 and e.session_id = $2`;
  const [there, [total], rows] = await Promise.all([
    tx.query('select 1 from session where application_id = $1 and session_id = $2', [applicationId, sessionId]),
    tx.query<{ count: number }>(`select count(*)::int as count ${from}`, [applicationId, sessionId]),
    tx.query<AttemptRow>(`select ${COLUMNS} ${from} order by a.created_at desc, a.attempt_id desc limit $3 offset $4`, [
      applicationId,
      sessionId,
      page.limit,
      page.offset,
    ]),
  ]);
  return there.length === 0 ? null : { count: total?.count ?? 0, rows };
}

/** An attempt, by its destination or by the session that it was about. */
export type AttemptKey = { readonly applicationId: string; readonly attemptId: string } & (
  | { readonly destinationId: string }
  | { readonly sessionId: string }
);

/** One attempt at a destination of the application's own that is not deleted. */
export async function readAttempt(
  tx: Transaction,
  sealer: PayloadSealer,
  which: AttemptKey,
): Promise<AttemptDetail | null> {
  const { applicationId, attemptId } = which;
  const [column, value] =
    'sessionId' in which
      ? (['e.session_id', which.sessionId] as const)
      : (['a.destination_id', which.destinationId] as const);
  const [row] = await tx.query<Omit<AttemptDetail, 'payload'> & { payload: Buffer | null }>(
    `select ${COLUMNS}, e.event_id as "eventId", e.sequence::float8 as sequence, floor(extract(epoch from e.created_at))::float8 as "eventAt",
       p.payload, d.payload_mode as "payloadMode", a.request_headers as "requestHeaders",
       case when e.dedupe_key like '%:token' then e.token_id end as "carriesToken"
     ${FROM} left join event_payload p on p.event_id = e.event_id
     join webhook_destination d on d.destination_id = a.destination_id and d.deleted_at is null
     where a.application_id = $1 and ${column} = $2 and a.attempt_id = $3`,
    [applicationId, value, attemptId],
  );
  if (row === undefined) return null;
  const { payload, ...rest } = row;
  const context = sealContextOfEvent({ applicationId, sessionId: row.sessionId, eventId: row.eventId });
  return { ...rest, payload: payload === null ? null : (sealer.openPayload(context, payload) as JsonObject) };
}

/** What came of an attempt so far. */
export async function readOutcome(
  tx: Transaction,
  applicationId: string,
  attemptId: string,
): Promise<Pick<AttemptRow, 'status' | 'responseStatus' | 'responseTimeMs'> | undefined> {
  const [row] = await tx.query<Pick<AttemptRow, 'status' | 'responseStatus' | 'responseTimeMs'>>(
    `select ${OUTCOME} from delivery_attempt a where a.application_id = $1 and a.attempt_id = $2`,
    [applicationId, attemptId],
  );
  return row;
}

/**
 * Puts the same delivery in line again, beside its schedule: to the URL that it went to, signed with the secret of the
 * day. Wakes the senders; resolves to the new attempt's id.
 */
export function queueAttempt(tx: Transaction, applicationId: string, again: string): string {
  const attemptId = newId();
  tx.send(
    `insert into delivery_attempt
       (attempt_id, delivery_id, attempt, application_id, destination_id, request_url, trigger, state)
     select $1, a.delivery_id, (select count(*) + 1 from delivery_attempt o where o.delivery_id = a.delivery_id),
       a.application_id, a.destination_id, a.request_url, 'manual', 'pending'
     from delivery_attempt a where a.application_id = $2 and a.attempt_id = $3`,
    [attemptId, applicationId, again],
  );
  tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return attemptId;
}
