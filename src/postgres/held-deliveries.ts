import { DELIVERIES_CHANNEL } from './deliveries.ts';
import type { Transaction } from './tenants.ts';

/** Deliveries that one statement moves at most. */
export const MOVE_BATCH = 1_000;

/** Waits for its next attempt. Not a token's, which its onboarding ends, nor a test. */
const OPEN = `v.ended_at is null and v.state <> 'held' and v.owner in ('sender', 'run')`;
/** The same, and nobody is at it. */
const IDLE = `${OPEN} and (v.lease_until is null or v.lease_until < (select handoff_now()))`;
const HELD = `v.state = 'held'`;

/**
 * Locks up to a batch of the deliveries of destination `$1`, if `destination` is so, and passes over those that somebody
 * else has locked: who moves deliveries waits for nobody, and what it leaves is moved in the next round.
 */
const take = (deliveries: string, destination: string, order = '') =>
  `select v.delivery_id from delivery v join webhook_destination d on d.destination_id = v.destination_id
   where v.destination_id = $1 and ${deliveries} and ${destination}
   ${order} limit ${MOVE_BATCH} for update of v skip locked`;

/**
 * Holds a batch of what a disabled destination would be sent next, without using up an attempt; what is under way at this
 * moment is not touched.
 *
 * @returns how many; a full batch ({@link MOVE_BATCH}) says that there may be more, which the relay holds
 */
export function holdDeliveries(tx: Transaction, destinationId: string): Promise<number> {
  return move(
    tx,
    `with taken as (${take(IDLE, 'not d.enabled and d.deleted_at is null')})
     update delivery set state = 'held', owner = 'sender', lease_until = null where delivery_id in (select * from taken)
     returning 1`,
    destinationId,
  );
}

/**
 * Puts a batch of what was held for an enabled destination in line, oldest first, each with a schedule that begins anew,
 * and wakes the senders.
 *
 * @returns how many; a full batch ({@link MOVE_BATCH}) says that there may be more, which the relay releases
 */
export async function releaseDeliveries(tx: Transaction, destinationId: string): Promise<number> {
  const released = await move(
    tx,
    `with taken as (${take(HELD, 'd.enabled and d.deleted_at is null', 'order by v.created_at')})
     update delivery set state = 'pending', owner = 'sender', trigger = 'replay', schedule_start = attempts,
       next_at = created_at, lease_until = null
     where delivery_id in (select * from taken) returning 1`,
    destinationId,
  );
  if (released > 0) tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return released;
}

/**
 * Ends a batch of what a deleted destination would be sent, held or not.
 *
 * @returns how many; the relay ends what is left when it is a full batch ({@link MOVE_BATCH}) or more
 */
export function stopDeliveries(tx: Transaction, destinationId: string): Promise<number> {
  const deleted = 'd.deleted_at is not null';
  return move(
    tx,
    // Apart, since each has an index of its own.
    `with waiting as (${take(IDLE, deleted)}), held as (${take(HELD, deleted)})
     update delivery set state = 'stopped', last_reason = 'destination_deleted', ended_at = handoff_now(),
       lease_until = null
     where delivery_id in (select * from waiting union all select * from held) returning 1`,
    destinationId,
  );
}

async function move(tx: Transaction, statement: string, destinationId: string): Promise<number> {
  return (await tx.query(statement, [destinationId])).length;
}

/** Forgets how a destination fared, when its owner enables it again. Its health row is locked before its deliveries. */
export function resetHealth(tx: Transaction, destinationId: string): void {
  tx.send(
    `update webhook_health set consecutive_failures = 0, circuit_open_until = null, probe_until = null,
       circuit_closed_at = handoff_now(), slow_until = null, single_until = null, failing_since = null, told_percent = 0
     where destination_id = $1`,
    [destinationId],
  );
}

/** What the deliveries of a destination want that was switched since they were made. */
export type DeliveryMove = 'hold' | 'release' | 'stop';

/** The function of each move. */
export const DELIVERY_MOVES: Readonly<
  Record<DeliveryMove, (tx: Transaction, destinationId: string) => Promise<number>>
> = { hold: holdDeliveries, release: releaseDeliveries, stop: stopDeliveries };

/** A destination's deliveries that have to be moved. */
export interface MoveToMake {
  readonly destinationId: string;
  readonly move: DeliveryMove;
}

/** Every destination, once, that has a delivery of this sort: one look at the index each, however many deliveries. */
const destinationsWith = (name: string, deliveries: string) =>
  `${name} as (
     (select v.destination_id from delivery v where ${deliveries} order by v.destination_id limit 1)
     union all
     select (select v.destination_id from delivery v where ${deliveries} and v.destination_id > ${name}.destination_id
             order by v.destination_id limit 1)
     from ${name} where ${name}.destination_id is not null
   )`;

/** Which destinations have deliveries that do not stand as they should: cheap when there are none. */
export function movesToMake(tx: Transaction): Promise<MoveToMake[]> {
  return tx.query<MoveToMake & Record<string, unknown>>(
    `with recursive ${destinationsWith('waiting', OPEN)}, ${destinationsWith('held', HELD)}
     select d.destination_id as "destinationId", case when d.deleted_at is null then 'hold' else 'stop' end as move
     from waiting join webhook_destination d on d.destination_id = waiting.destination_id and not d.enabled
     union
     select d.destination_id, case when d.deleted_at is null then 'release' else 'stop' end
     from held join webhook_destination d on d.destination_id = held.destination_id
       and (d.enabled or d.deleted_at is not null)`,
  );
}
