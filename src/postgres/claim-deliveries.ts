import type { PayloadSealer } from '../sharing/ports.ts';
import type { DueDeliveries } from '../webhooks/ports.ts';
import {
  ALLOWANCE,
  CLOCK,
  handOver,
  IN_FLIGHT,
  IN_FLIGHT_OF_APPLICATIONS,
  MAX_IN_FLIGHT,
} from './destination-health.ts';
import { FREE, HAS_PAYLOAD, takeDeliveries, TOKEN_IS_OPEN } from './take-deliveries.ts';
import type { Transaction } from './tenants.ts';

/** What the senders take, by the index `delivery_waiting`. */
const WAITING = `v.ended_at is null and v.owner = 'sender' and v.state <> 'held'`;

/**
 * Takes what is due, in one round trip: each application in its turn (the fewest in flight first), of its own what is
 * wanted by hand first, and no more from a destination than it takes now.
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
const LOCK_WANTED = `with recursive ${CLOCK}, ${IN_FLIGHT_OF_APPLICATIONS},
  waiting as (
    (select v.destination_id, v.next_at from delivery v where ${WAITING} order by v.destination_id, v.next_at limit 1)
    union all
    select next.* from waiting w cross join lateral (
      select v.destination_id, v.next_at from delivery v where ${WAITING} and v.destination_id > w.destination_id
      order by v.destination_id, v.next_at limit 1) next
  ), wanted as (
    select destination_id, true as by_hand, created_at as since, ${MAX_IN_FLIGHT} as takes
    from delivery_attempt where state = 'pending'
    union all
    select w.destination_id, false, first.next_at, ${ALLOWANCE}
    from waiting w cross join clock
    join webhook_health h on h.destination_id = w.destination_id
    join webhook_destination d on d.destination_id = w.destination_id
    cross join lateral (
      select v.next_at from delivery v
      where v.destination_id = w.destination_id and ${WAITING} and v.next_at <= clock.now and ${FREE}
      order by v.next_at limit 1) first
    where w.next_at <= clock.now and ${ALLOWANCE} > 0
  ), counted as materialized (
    select h.destination_id, h.application_id, w.by_hand, w.since, w.takes, ${IN_FLIGHT} as in_flight
    from (select destination_id, bool_or(by_hand) as by_hand, min(since) as since, max(takes) as takes
          from wanted group by 1) w
    join webhook_health h on h.destination_id = w.destination_id
    join webhook_destination d on d.destination_id = w.destination_id and d.deleted_at is null
    cross join clock
  ), ranked as materialized (
    select counted.*, coalesce(busy.in_flight, 0) + row_number() over
      (partition by application_id order by counted.in_flight >= takes, by_hand desc, since) as turn
    from counted left join busy using (application_id)
  ), locked as materialized (
    select h.destination_id from ranked r join webhook_health h on h.destination_id = r.destination_id
    where r.in_flight < r.takes
    order by r.turn, r.by_hand desc, r.since limit $1 for update of h skip locked
  )
  select ${handOver('locked')}, count(*)::int as locked,
    (select count(*) from ranked where in_flight < takes)::int as roomy,
    (select count(*) from ranked where in_flight >= takes)::int as full
  from locked`;

/** What is taken of the destinations that were locked. */
const PICK_DUE = `hand as (
    select a.attempt_id, a.created_at as since, r.destination_id, r.application_id, r.app_in_flight
    from room r cross join lateral (
      select a.attempt_id, a.created_at from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id
      join event e on e.event_id = v.event_id
      where a.destination_id = r.destination_id and a.state = 'pending' and ${HAS_PAYLOAD} and ${TOKEN_IS_OPEN}
      order by a.created_at limit r.free for update of a skip locked) a
  ), line as (
    select v.delivery_id, v.next_at as since, r.application_id, r.app_in_flight
    from room r
    left join (select destination_id, count(*) as taken from hand group by 1) h on h.destination_id = r.destination_id
    cross join clock cross join lateral (
      select v.delivery_id, v.next_at from delivery v
      where v.destination_id = r.destination_id and ${WAITING} and v.next_at <= clock.now and ${FREE}
      order by v.next_at limit greatest(0, least(r.allowance, r.free - coalesce(h.taken, 0)))
      for update skip locked) v
  ), ranked as (
    select *, app_in_flight + row_number() over (partition by application_id order by by_hand desc, since) as turn
    from (
      select true as by_hand, attempt_id as id, since, application_id, app_in_flight from hand
      union all select false, delivery_id, since, application_id, app_in_flight from line
    ) waiting
  ), chosen as materialized (
    select by_hand, id from ranked order by turn, by_hand desc, since limit $1
  ), begun as (
    update delivery_attempt a set state = 'started', started_at = clock.now
    from chosen, clock where chosen.by_hand and a.attempt_id = chosen.id and a.state = 'pending' returning a.*
  ), picked as (
    select id as delivery_id from chosen where not by_hand
  )`;
