import type { EventType } from '../domain/events.ts';
import { DELIVERIES_CHANNEL } from './deliveries.ts';
import { REST_ENDS } from './destination-health.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';
import { hasDestination, lockHealth } from './webhook-destinations.ts';

/** Deliveries that one call puts in line at most. */
export const REPAIR_LIMIT = 10_000;

/** Events that {@link listMissed} finds at most: so many, of any number, say enough, and are found in time. */
export const MISSED_LIMIT = 10_000;

/** A stretch of time, both ends included: ISO 8601 in UTC. */
export interface Span {
  readonly since: string;
  readonly until: string;
}

/** What a repair did. */
export interface Repaired {
  readonly count: number;
  /** It stopped at its limit: asking again goes on. */
  readonly more: boolean;
}

/** An event that a destination subscribes to and did not get. */
export interface MissedRow {
  readonly eventId: string;
  readonly eventType: EventType;
  /** The reader's own session that it is about. */
  readonly sessionId: string | null;
  readonly tokenId: string | null;
  readonly sequence: number;
  readonly createdAt: string;
  /** How its delivery stands; `missing` when there is none. */
  readonly state:
    | 'missing'
    | 'pending'
    | 'retrying'
    | 'held'
    | 'gone'
    | 'blocked'
    | 'aborted'
    | 'exhausted'
    | 'stopped';
  readonly attempts: number;
  readonly lastReason: string | null;
  /** Now, or the end of its destination's rest, at the earliest; null when none is planned. */
  readonly nextAttemptAt: string | null;
}

/** A stretch that ends now unless it says when, and its length in seconds, which is negative when it ends first. */
export async function resolveSpan(
  tx: Transaction,
  { since, until }: { readonly since: string; readonly until?: string | undefined },
): Promise<Span & { readonly seconds: number }> {
  const [row] = await tx.query<Span & { seconds: number }>(
    `select $1::text as since, ${isoColumn('n.until')} as until,
       extract(epoch from n.until - $1::timestamptz)::float8 as seconds
     from (select coalesce($2::timestamptz, handoff_now()) as until) n`,
    [since, until ?? null],
  );
  if (row === undefined) throw new Error('the database has a time');
  return row;
}

/**
 * Takes a destination for a repair, alone, and locks how it fares, as everything does that changes its deliveries.
 *
 * @returns `busy` while another repair has it, without waiting; null when it is not there
 */
export async function takeForRepair(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<'busy' | 'disabled' | 'ready' | null> {
  const [lock] = await tx.query<{ taken: boolean }>(
    `select pg_try_advisory_xact_lock(hashtextextended($1, 5)) as taken`,
    [`${applicationId}:${destinationId}`],
  );
  if (lock?.taken !== true) return 'busy';
  lockHealth(tx, applicationId, destinationId);
  const [row] = await tx.query<{ enabled: boolean }>(
    'select enabled from webhook_destination where application_id = $1 and destination_id = $2 and deleted_at is null',
    [applicationId, destinationId],
  );
  if (row === undefined) return null;
  return row.enabled ? 'ready' : 'disabled';
}

/**
 * Ends the rest of a destination whose owner says that it is back: what waits is due. For how long nothing has got
 * through, only a success, or enabling it, forgets.
 */
export function endRest(tx: Transaction, applicationId: string, destinationId: string): void {
  tx.send(
    `update webhook_health set circuit_open_until = null, probe_until = null, slow_until = null, single_until = null,
       consecutive_failures = 0, circuit_closed_at = handoff_now()
     where application_id = $1 and destination_id = $2`,
    [applicationId, destinationId],
  );
}

/**
 * Begins the schedule anew, at once, for the deliveries of events of this time that ended without success, and for those
 * that wait for a retry; oldest first. What was deleted with its session, or is no longer kept, stays as it is.
 */
export function recoverDeliveries(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  span: Span,
  limit = REPAIR_LIMIT,
): Promise<Repaired> {
  return repair(
    tx,
    `wanted as materialized (
       select v.delivery_id, e.created_at, e.event_id
       from event e join delivery v on v.event_id = e.event_id and v.destination_id = $2
       where ${IN_SPAN} and ${HAS_PAYLOAD} and v.owner in ('sender', 'run')
         and (v.ended_at is null and v.state = 'retrying' or v.ended_at is not null and v.state <> 'delivered')
       order by e.created_at, e.event_id limit $5 + 1 for update of v
     ), done as (
       update delivery v set owner = 'sender', state = 'pending', trigger = 'replay', schedule_start = v.attempts,
         next_at = w.created_at, ended_at = null
       from (select delivery_id, created_at from wanted order by created_at, event_id limit $5) w
       where v.delivery_id = w.delivery_id
       returning 1
     )`,
    [applicationId, destinationId, span.since, span.until, limit],
  );
}

/** Makes the deliveries of events of this time that the destination subscribes to and never had one of; oldest first. */
export function replayMissing(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  span: Span,
  limit = REPAIR_LIMIT,
): Promise<Repaired> {
  return repair(
    tx,
    `wanted as materialized (
       select e.event_id, e.created_at
       from event e join webhook_destination d on d.destination_id = $2 and d.application_id = e.application_id
       where ${IN_SPAN} and e.type = any (d.subscribed_events) and ${HAS_PAYLOAD} and ${REPLAYABLE}
         and not exists (select 1 from delivery v where v.event_id = e.event_id and v.destination_id = $2)
         and not ${ON_ITS_WAY}
       order by e.created_at, e.event_id limit $5 + 1
     ), done as (
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner, trigger, next_at)
       select gen_random_uuid(), event_id, $2, $1, 'sender', 'replay', created_at
       from wanted order by created_at, event_id limit $5
       on conflict (event_id, destination_id) do nothing
       returning 1
     )`,
    [applicationId, destinationId, span.since, span.until, limit],
  );
}

/**
 * Events of this time that a destination subscribes to and did not get, oldest first, the first {@link MISSED_LIMIT} of
 * them; null when the application has no such destination.
 */
export async function listMissed(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  span: Span,
  page: { readonly limit: number; readonly offset: number },
  most = MISSED_LIMIT,
): Promise<{ count: number; rows: MissedRow[] } | null> {
  const [there, rows] = await Promise.all([
    hasDestination(tx, applicationId, destinationId),
    // Looked for once, since of many events few are missed. Without a page there is a row for the count.
    tx.query<{ [Member in keyof MissedRow]: MissedRow[Member] | null } & { total: number }>(
      `with found as materialized (
         select e.event_id, e.created_at, v.delivery_id ${MISSED} order by e.created_at, e.event_id limit $5
       ), page as (
         select e.event_id as "eventId", e.type as "eventType", e.session_id as "sessionId", e.token_id as "tokenId",
           e.sequence::float8 as sequence, ${isoColumn('e.created_at')} as "createdAt",
           coalesce(v.state, case when ${ON_ITS_WAY} then 'pending' else 'missing' end) as state,
           coalesce(v.attempts, 0) as attempts, v.last_reason as "lastReason",
           case when v.ended_at is null and v.state <> 'held' then ${isoColumn(`greatest(v.next_at, ${REST_ENDS}, handoff_now())`)} end as "nextAttemptAt",
           e.created_at as at
         from found join event e on e.event_id = found.event_id left join delivery v on v.delivery_id = found.delivery_id
         left join webhook_health h on h.destination_id = v.destination_id
         order by e.created_at, e.event_id limit $6 offset $7
       )
       select page.*, counted.total from (select count(*)::int as total from found) counted left join page on true
       order by page.at, page."eventId"`,
      [applicationId, destinationId, span.since, span.until, most, page.limit, page.offset],
    ),
  ]);
  if (!there) return null;
  return {
    count: rows[0]?.total ?? 0,
    rows: rows.filter((row): row is MissedRow & typeof row => row.eventId !== null),
  };
}

const IN_SPAN = 'e.application_id = $1 and e.created_at >= $3::timestamptz and e.created_at <= $4::timestamptz';

const HAS_PAYLOAD = 'exists (select 1 from event_payload p where p.event_id = e.event_id)';

/** Not a token, which its onboarding delivers while it lives, nor what was about a destination at that time. */
const REPLAYABLE = `e.type <> 'share.received' and e.type not like 'webhook.%'`;

/** Its deliveries are still to be made. */
const ON_ITS_WAY = `exists (select 1 from outbox o where o.subject_id = e.event_id and o.wish = 'dispatch')`;

const MISSED = `from event e join webhook_destination d on d.destination_id = $2 and d.application_id = e.application_id
  left join delivery v on v.event_id = e.event_id and v.destination_id = d.destination_id
  where ${IN_SPAN} and e.type = any (d.subscribed_events)
    and (v.state <> 'delivered' and v.owner <> 'hand'
      -- What was erased is nobody's any more, or it would be missing for ever.
      or v.delivery_id is null and ${REPLAYABLE} and ${HAS_PAYLOAD})`;

async function repair(tx: Transaction, statement: string, values: readonly unknown[]): Promise<Repaired> {
  const [row] = await tx.query<Repaired>(
    `with ${statement}
     select (select count(*) from done)::int as count, (select count(*) from wanted) > $5 as more`,
    values,
  );
  if (row === undefined) throw new Error('a count is a row');
  // Also for what waited before, and is due with the end of a rest.
  tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return row;
}
