import type { EventType } from '../domain/events.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { AttemptTrigger } from '../webhooks/ports.ts';
import type { RetryHint } from '../webhooks/reply-policy.ts';
import { DELIVERIES_CHANNEL } from './deliveries.ts';
import { sealContextOfEvent } from './events.ts';
import { newId } from './new-id.ts';
import { replyContext } from './record-attempt.ts';
import { isoColumn } from './session-rows.ts';
import { nextNumber } from './take-deliveries.ts';
import type { Transaction } from './tenants.ts';
import { hasDestination } from './webhook-destinations.ts';

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
  readonly eventId: string;
  /** 1 for the first attempt at this delivery; a later one has a greater number, whatever its trigger. */
  readonly attempt: number;
  readonly trigger: AttemptTrigger;
  /** A stable code, e.g. `http_500`, `timeout`, `gone`; null until the attempt ended. */
  readonly reason: string | null;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** What came of an attempt so far. */
export type AttemptOutcome = Pick<AttemptRow, 'status' | 'responseStatus' | 'responseTimeMs' | 'reason'>;

/** An attempt with all that its body was, or will be, made of. */
export interface AttemptDetail extends AttemptRow {
  readonly hint: RetryHint | null;
  /** The first 4 KiB of the reply. */
  readonly responseBody: string | null;
  readonly bodyTruncated: boolean | null;
  /** The host that a redirect pointed to. */
  readonly locationHost: string | null;
  readonly sequence: number;
  /** Unix seconds. */
  readonly eventAt: number;
  /** Null when it was deleted, with its session or at the end of its retention. */
  /** As `ClaimedDelivery` has it; null when it was deleted. */
  readonly payload: string | null;
  /** Members of the payload that the body lacked. */
  readonly leftOut: readonly string[];
  readonly requestHeaders: Readonly<Record<string, string>> | null;
  /** The share token that the body carries. */
  readonly carriesToken: string | null;
}

/** Which attempts are wanted; days are in UTC, `YYYY-MM-DD`, both of them included. */
export interface AttemptFilter {
  readonly dateFrom?: string | undefined;
  readonly dateTo?: string | undefined;
  readonly status?: AttemptRow['status'] | undefined;
  readonly eventType?: EventType | undefined;
}

const STATUS = `case a.state when 'started' then 'pending' else a.state end`;

const OUTCOME = `a.response_status as "responseStatus", a.duration_ms as "responseTimeMs", ${STATUS} as status,
  a.reason`;

const COLUMNS = `a.attempt_id as "attemptId", e.session_id as "sessionId", a.request_url as "requestUrl", ${OUTCOME}, e.type as "eventType",
  e.event_id as "eventId", a.attempt, a.trigger, ${isoColumn('a.created_at')} as "createdAt"`;

const FROM = `from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id join event e on e.event_id = v.event_id`;

const WANTED = `a.application_id = $1 and a.destination_id = $2
  and ($3::date is null or a.created_at >= $3::date::timestamp at time zone 'UTC')
  and ($4::date is null or a.created_at < ($4::date + 1)::timestamp at time zone 'UTC')
  and ($5::text is null or ${STATUS} = $5)
  and ($6::text is null or exists (
    select 1 from delivery w join event o on o.event_id = w.event_id where w.delivery_id = a.delivery_id and o.type = $6))`;

/** Attempts at one destination, newest first; null when the application has no such destination. */
export async function listAttempts(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  filter: AttemptFilter,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: AttemptRow[] } | null> {
  const { dateFrom, dateTo, status, eventType } = filter;
  const wanted = [applicationId, destinationId, dateFrom ?? null, dateTo ?? null, status ?? null, eventType ?? null];
  const [there, [total], rows] = await Promise.all([
    hasDestination(tx, applicationId, destinationId),
    tx.query<{ count: number }>(`select count(*)::int as count from delivery_attempt a where ${WANTED}`, wanted),
    tx.query<AttemptRow>(
      `select ${COLUMNS} ${FROM} where ${WANTED} order by a.created_at desc, a.attempt_id desc limit $7 offset $8`,
      [...wanted, page.limit, page.offset],
    ),
  ]);
  return there ? { count: total?.count ?? 0, rows } : null;
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
  const [row] = await tx.query<
    Omit<AttemptDetail, 'payload' | 'responseBody'> & { payload: Buffer | null; reply: Buffer | null }
  >(
    `select ${COLUMNS}, a.hint, a.response_head as reply,
       a.body_truncated as "bodyTruncated", a.location_host as "locationHost",
       e.sequence::float8 as sequence, floor(extract(epoch from e.created_at))::float8 as "eventAt",
       p.payload, a.left_out as "leftOut", a.request_headers as "requestHeaders",
       case when e.dedupe_key like '%:token' then e.token_id end as "carriesToken"
     ${FROM} left join event_payload p on p.event_id = e.event_id
     join webhook_destination d on d.destination_id = a.destination_id and d.deleted_at is null
     where a.application_id = $1 and ${column} = $2 and a.attempt_id = $3`,
    [applicationId, value, attemptId],
  );
  if (row === undefined) return null;
  const { payload, reply, ...rest } = row;
  const context = sealContextOfEvent({ applicationId, sessionId: row.sessionId, eventId: row.eventId });
  return {
    ...rest,
    responseBody: reply === null ? null : sealer.openBytes(replyContext(applicationId, attemptId), reply).toString(),
    payload: payload === null ? null : sealer.openBytes(context, payload).toString(),
  };
}

/** What came of an attempt of the application's own so far. */
export async function readOutcome(
  tx: Transaction,
  applicationId: string,
  attemptId: string,
): Promise<AttemptOutcome | undefined> {
  const [row] = await tx.query<AttemptOutcome & Record<string, unknown>>(
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
    `select 1 from webhook_health h join delivery_attempt a on a.destination_id = h.destination_id
     where a.application_id = $1 and a.attempt_id = $2 for update of h`,
    [applicationId, again],
  );
  tx.send(
    `insert into delivery_attempt
       (attempt_id, delivery_id, attempt, application_id, destination_id, request_url, trigger, state)
     select $1, a.delivery_id, ${nextNumber('a.delivery_id')}, a.application_id, a.destination_id,
       a.request_url, 'manual', 'pending'
     from delivery_attempt a where a.application_id = $2 and a.attempt_id = $3`,
    [attemptId, applicationId, again],
  );
  tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return attemptId;
}
