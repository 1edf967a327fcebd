import type { JsonObject } from '../domain/json.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { ClaimedDelivery, DueDeliveries } from '../webhooks/ports.ts';
import { ALLOWANCE, CLOCK, handOver, IN_FLIGHT, LEASE_SECONDS, LOCKED, MAX_IN_FLIGHT } from './destination-health.ts';
import { sealContextOfEvent } from './events.ts';
import { openSecret } from './webhook-secrets.ts';
import type { Transaction } from './tenants.ts';

/** What the senders take, by the index `delivery_waiting`. */
const WAITING = `v.ended_at is null and v.owner = 'sender' and v.state <> 'held'`;

/** Nobody is at delivery `v`. */
export const FREE = '(v.lease_until is null or v.lease_until < clock.now)';

/**
 * Takes what is due, in one round trip: attempts by hand first, then scheduled ones, each application in its turn (the
 * fewest in flight first), and no more from a destination than it takes now.
 *
 * @param limit deliveries at most, 1 or more
 */
export async function claimDue(tx: Transaction, sealer: PayloadSealer, limit: number): Promise<DueDeliveries> {
  const [[found], rows] = await Promise.all([
    tx.query<{ locked: number; roomy: number; full: number }>(LOCK_WANTED, [limit]),
    takeDeliveries(tx, sealer, { sql: PICK_DUE, values: [limit], byHand: true }),
  ]);
  const { locked = 0, roomy = 0, full = 0 } = found ?? {};
  return {
    claimed: rows.map(({ claimed }) => claimed),
    more: full > 0 || roomy > locked || rows.length >= limit || rows.some(({ atLimit }) => atLimit),
    busy: locked < Math.min(roomy, limit),
  };
}

/**
 * Finds the destinations that something is due for, with one look at the index each, and locks the health rows of those
 * that take something. A destination whose row is locked is passed over: whoever has it takes its deliveries.
 */
const LOCK_WANTED = `with recursive ${CLOCK},
  waiting as (
    (select v.destination_id, v.next_at from delivery v where ${WAITING} order by v.destination_id, v.next_at limit 1)
    union all
    select next.* from waiting w cross join lateral (
      select v.destination_id, v.next_at from delivery v where ${WAITING} and v.destination_id > w.destination_id
      order by v.destination_id, v.next_at limit 1) next
  ), wanted as (
    select destination_id, true as by_hand, created_at as since from delivery_attempt where state = 'pending'
    union all
    select w.destination_id, false, first.next_at
    from waiting w cross join clock
    join webhook_health h on h.destination_id = w.destination_id
    join webhook_destination d on d.destination_id = w.destination_id
    cross join lateral (
      select v.next_at from delivery v
      where v.destination_id = w.destination_id and ${WAITING} and v.next_at <= clock.now and ${FREE}
      order by v.next_at limit 1) first
    where w.next_at <= clock.now and ${ALLOWANCE} > 0
  ), counted as materialized (
    select h.destination_id, h.application_id, w.by_hand, w.since, ${IN_FLIGHT} as in_flight
    from (select destination_id, bool_or(by_hand) as by_hand, min(since) as since from wanted group by 1) w
    join webhook_health h on h.destination_id = w.destination_id
    join webhook_destination d on d.destination_id = w.destination_id and d.deleted_at is null
    cross join clock
  ), ranked as materialized (
    select *, sum(in_flight) over (partition by application_id) + row_number() over
      (partition by application_id order by in_flight >= ${MAX_IN_FLIGHT}, by_hand desc, since) as turn
    from counted
  ), locked as materialized (
    select h.destination_id from ranked r join webhook_health h on h.destination_id = r.destination_id
    where r.in_flight < ${MAX_IN_FLIGHT}
    order by r.by_hand desc, r.turn, r.since limit $1 for update of h skip locked
  )
  select ${handOver('locked')}, count(*)::int as locked,
    (select count(*) from ranked where in_flight < ${MAX_IN_FLIGHT})::int as roomy,
    (select count(*) from ranked where in_flight >= ${MAX_IN_FLIGHT})::int as full
  from locked`;

/** What is taken of the destinations that were locked. */
const PICK_DUE = `hand as (
    select a.attempt_id, r.destination_id
    from room r cross join lateral (
      select a.attempt_id, a.created_at from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id
      where a.destination_id = r.destination_id and a.state = 'pending'
        and exists (select 1 from event_payload p where p.event_id = v.event_id)
      order by a.created_at limit r.free for update of a skip locked) a
    order by a.created_at limit $1
  ), begun as (
    update delivery_attempt a set state = 'started', started_at = clock.now
    from hand, clock where a.attempt_id = hand.attempt_id and a.state = 'pending' returning a.*
  ), line as (
    select q.delivery_id, q.next_at,
      r.app_in_flight + row_number() over (partition by r.application_id order by q.next_at) as turn
    from room r
    left join (select destination_id, count(*) as taken from hand group by 1) h on h.destination_id = r.destination_id
    cross join clock cross join lateral (
      select v.delivery_id, v.next_at from delivery v
      where v.destination_id = r.destination_id and ${WAITING} and v.next_at <= clock.now and ${FREE}
      order by v.next_at limit greatest(0, least(r.allowance, r.free - coalesce(h.taken, 0)))
      for update skip locked) q
  ), picked as (
    select delivery_id from line order by turn, next_at limit greatest(0, $1 - (select count(*) from hand))
  )`;

/** What to take of the destinations that were locked. */
export interface Pick {
  /**
   * SQL of the relation `picked` (`delivery_id`, with the rows locked), made from `room`: the locked destinations with the
   * scheduled attempts that each takes (`allowance`) and has room for (`free`).
   */
  readonly sql: string;
  readonly values: readonly unknown[];
  /** Whether it makes `begun` as well, the attempts that were begun by hand. */
  readonly byHand: boolean;
}

/**
 * Takes deliveries of the destinations that the transaction has locked: lease, attempt number and attempt row, before
 * anything is sent. A delivery whose payload was deleted ends instead.
 */
export async function takeDeliveries(
  tx: Transaction,
  sealer: PayloadSealer,
  { sql, values, byHand }: Pick,
): Promise<{ claimed: ClaimedDelivery; atLimit: boolean }[]> {
  const hasPayload = 'exists (select 1 from event_payload p where p.event_id = v.event_id)';
  const rows = await tx.query<ClaimedRow>(
    `with ${CLOCK}, counted as materialized (
       select h.destination_id, h.application_id, ${ALLOWANCE} as allowance, ${IN_FLIGHT} as in_flight
       from ${LOCKED} join webhook_health h on h.destination_id = locked.destination_id
       join webhook_destination d on d.destination_id = h.destination_id and d.deleted_at is null
       cross join clock
     ), room as materialized (
       select *, greatest(0, ${MAX_IN_FLIGHT} - in_flight) as free,
         sum(in_flight) over (partition by application_id) as app_in_flight
       from counted
     ), ${sql}, emptied as (
       update delivery v set state = 'stopped', last_reason = 'payload_deleted', ended_at = clock.now, lease_until = null
       from picked, clock where v.delivery_id = picked.delivery_id and not ${hasPayload}
     ), taken as (
       update delivery v set attempts = v.attempts + 1, lease_until = clock.now + interval '${LEASE_SECONDS} seconds'
       from picked, clock where v.delivery_id = picked.delivery_id and ${hasPayload} returning v.*
     ), lost as (
       -- An attempt that was sent or not, and never recorded.
       update delivery_attempt a set state = 'unknown' from taken t
       where a.delivery_id = t.delivery_id and a.state = 'started' and a.trigger <> 'manual'
     ), probing as (
       update webhook_health h set probe_until = clock.now + interval '${LEASE_SECONDS} seconds'
       from taken t, clock where h.destination_id = t.destination_id and h.circuit_open_until is not null
     ), scheduled as (
       insert into delivery_attempt
         (delivery_id, attempt, trigger, application_id, destination_id, request_url, started_at)
       select t.delivery_id, t.attempts, t.trigger, t.application_id, t.destination_id, d.url, clock.now
       from taken t join webhook_destination d on d.destination_id = t.destination_id cross join clock
       returning *
     ), claimed as (
       select * from scheduled${byHand ? ' union all select * from begun' : ''}
     )
     select c.delivery_id as "deliveryId", c.attempt_id as "attemptId", c.trigger, c.attempt,
       c.attempt - v.schedule_start as "scheduleAttempt", e.sequence::float8 as sequence, e.event_id as "eventId",
       e.type as "eventType", c.destination_id as "destinationId", c.application_id as "applicationId",
       e.session_id as "sessionId", floor(extract(epoch from e.created_at))::float8 as "createdAt", p.payload,
       c.request_url as url, d.payload_mode as "payloadMode",
       d.didit_headers_signed_with as "diditHeadersSignedWith",
       count(*) over (partition by c.destination_id) >= least(r.allowance, r.free) as "atLimit",
       array(select s.sealed from webhook_secret s where s.destination_id = c.destination_id
             and (s.expires_at is null or s.expires_at > clock.now) order by s.expires_at desc nulls first) as secrets,
       array(select m.media_id::text from session_media m
             where m.session_id = e.session_id and m.application_id = c.application_id and m.object_key is not null)
         as "mediaIds", floor(extract(epoch from clock.now))::float8 as "nowSeconds",
       case when e.dedupe_key like '%:token' then json_build_object(
         'kid', t.kid, 'claims', json_build_object(
           'session_id', t.session_id, 'session_kind', t.session_kind, 'from_application_id', t.issuer_id,
           'for_application_id', t.partner_id, 'iat', extract(epoch from t.issued_at)::bigint,
           'exp', extract(epoch from t.expires_at)::bigint, 'jti', t.token_id)) end as token
     from claimed c cross join clock
     join room r on r.destination_id = c.destination_id
     join delivery v on v.delivery_id = c.delivery_id
     join event e on e.event_id = v.event_id
     join event_payload p on p.event_id = v.event_id
     join webhook_destination d on d.destination_id = c.destination_id
     left join share_token t on e.type = 'share.received' and t.token_id = e.token_id`,
    values,
  );
  return rows.map(({ atLimit, applicationId, sessionId, mediaIds, nowSeconds, payload, secrets, ...row }) => ({
    atLimit,
    claimed: {
      ...row,
      media: sessionId === null ? null : { applicationId, sessionId, mediaIds, nowSeconds },
      payload: sealer.openPayload(
        sealContextOfEvent({ applicationId, sessionId, eventId: row.eventId }),
        payload,
      ) as JsonObject,
      secrets: secrets.map((sealed) => openSecret(sealer, applicationId, row.destinationId, sealed)),
    },
  }));
}

interface ClaimedRow extends Omit<ClaimedDelivery, 'payload' | 'media' | 'secrets' | 'token'> {
  atLimit: boolean;
  applicationId: string;
  sessionId: string | null;
  mediaIds: string[];
  nowSeconds: number;
  payload: Buffer;
  secrets: Buffer[];
  token: {
    kid: string;
    claims: NonNullable<ClaimedDelivery['token']>['claims'] & { session_kind: SessionKind };
  } | null;
}
