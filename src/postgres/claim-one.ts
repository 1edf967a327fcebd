import type { PayloadSealer } from '../sharing/ports.ts';
import type { ClaimedDelivery, DeliveryNotTaken } from '../webhooks/ports.ts';
import { FREE, takeDeliveries } from './take-deliveries.ts';
import { ALLOWANCE, CLOCK, handOver, IN_FLIGHT, OPENS_IN_MS } from './destination-health.ts';
import type { Transaction } from './tenants.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A run's timer and the database's clock need not agree to the second. */
const DUE = `v.owner = 'run' and v.ended_at is null and v.state <> 'held'
  and v.next_at <= clock.now + interval '1 second' and ${FREE}`;

/**
 * Takes the delivery of a run in one round trip, when its time has come and its destination takes it; one of a
 * destination that was switched off becomes `held`, of a deleted one `stopped`.
 */
export async function claimOne(
  tx: Transaction,
  sealer: PayloadSealer,
  deliveryId: string,
): Promise<ClaimedDelivery | DeliveryNotTaken> {
  tx.send(LOCK_DESTINATION, [deliveryId]);
  tx.send(SET_ASIDE, [deliveryId]);
  const [[taken], [row]] = await Promise.all([
    takeDeliveries(tx, sealer, { sql: PICK_ONE, values: [deliveryId], byHand: false }),
    tx.query<Untaken>(WHY_NOT, [deliveryId]),
  ]);
  if (taken !== undefined) return taken.claimed;
  return row === undefined ? { ended: true, state: 'stopped' } : notTaken(row, Math.random());
}

/** How a delivery and its destination stand; times in milliseconds from now, negative when they are over. */
export interface Untaken extends Record<string, unknown> {
  readonly state: string;
  readonly ended: boolean;
  readonly owner: string;
  readonly dueInMs: number;
  /** Null when nobody is at it. */
  readonly leasedForMs: number | null;
  /** Null when its destination is neither slow nor out of order. */
  readonly opensInMs: number | null;
  /** For how long nothing has got through to its destination. */
  readonly failingForMs: number;
  /** Deliveries that wait at its destination, a hundred at most. */
  readonly waiting: number;
}

/**
 * Why a run does not get its delivery, and when to ask again. Runs that wait for the same destination come back spread
 * out: for one out of order within two minutes of its return, for a full one within ten seconds (twenty, if it fails).
 *
 * @param random from 0 to below 1
 */
export function notTaken(row: Untaken, random: number): DeliveryNotTaken {
  const { state, owner, dueInMs, leasedForMs, opensInMs, failingForMs, waiting } = row;
  if (row.ended || state === 'held' || owner === 'onboarding' || owner === 'hand') return { ended: true, state };
  // The senders have it. A run is told when it comes back; this only finds out that it never will.
  if (owner === 'sender') return after(10 * MINUTE, 10 * MINUTE * random);
  if (leasedForMs !== null && leasedForMs > 0) return after(leasedForMs, 5 * SECOND * random);
  if (dueInMs > 0) return after(dueInMs, 0);
  if (opensInMs !== null && opensInMs > 0)
    return after(opensInMs, within(MINUTE, failingForMs / 10, 2 * MINUTE) * random);
  // Full: each look costs as much as an attempt, and one that fails is not asked often.
  if (failingForMs > 0) return after(10 * SECOND, 10 * SECOND * random);
  return after(SECOND, within(2 * SECOND, waiting * 100, 9 * SECOND) * random);
}

const after = (ms: number, spread: number) => ({ ended: false as const, retryInMs: Math.ceil(ms + spread) });
const within = (least: number, value: number, most: number) => Math.min(Math.max(least, value), most);

const LOCK_DESTINATION = `with ${CLOCK}, locked as materialized (
    select h.destination_id from clock, delivery v
    join webhook_health h on h.destination_id = v.destination_id
    join webhook_destination d on d.destination_id = v.destination_id
    where v.delivery_id = $1 and ${DUE} and ${ALLOWANCE} > ${IN_FLIGHT}
    for update of h
  ) select ${handOver('locked')} from locked`;

const SET_ASIDE = `with ${CLOCK}
  update delivery v set state = case when d.deleted_at is null then 'held' else 'stopped' end, owner = 'sender',
    lease_until = null, ended_at = case when d.deleted_at is null then null else clock.now end,
    last_reason = case when d.deleted_at is null then v.last_reason else 'destination_deleted' end
  from clock, webhook_destination d
  where v.delivery_id = $1 and d.destination_id = v.destination_id and not d.enabled
    and v.owner = 'run' and v.ended_at is null and ${FREE}`;

const PICK_ONE = `picked as (
    select v.delivery_id from clock, room r join delivery v on v.destination_id = r.destination_id
    where v.delivery_id = $1 and least(r.allowance, r.free) > 0 and ${DUE} for update of v
  )`;

const WHY_NOT = `with ${CLOCK}
  select v.state, v.ended_at is not null as ended, v.owner,
    (extract(epoch from v.next_at - clock.now) * 1000)::float8 as "dueInMs",
    (extract(epoch from v.lease_until - clock.now) * 1000)::float8 as "leasedForMs",
    ${OPENS_IN_MS} as "opensInMs",
    coalesce(extract(epoch from clock.now - h.failing_since) * 1000, 0)::float8 as "failingForMs",
    (select count(*)::int from (
       select 1 from delivery w where w.destination_id = v.destination_id and w.ended_at is null and w.state <> 'held'
         and w.owner in ('sender', 'run') limit 100) open) as waiting
  from clock, delivery v join webhook_health h on h.destination_id = v.destination_id where v.delivery_id = $1`;
