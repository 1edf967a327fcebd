import type { Transaction } from './tenants.ts';

/** How long webhooks are kept, in days. */
export interface WebhookRetention {
  /** What events tell. The events themselves stay. */
  readonly payloadDays: number;
  /** Deliveries and their attempts; no shorter. */
  readonly logDays: number;
}

/** Rows that one transaction deletes. */
const BATCH = 500;

/** Read once, so that an index can be searched by it. */
const OLDER = `< (select handoff_now() - make_interval(days => $1))`;

/**
 * Deletes a batch of payloads that are too old, with what receivers answered to them (a reply may repeat its request), and
 * first ends the deliveries that would still carry them. Waits for
 * nobody: what somebody else has locked is left to a later round.
 *
 * @returns whether there may be more
 */
export async function forgetPayloads(tx: Transaction, payloadDays: number): Promise<boolean> {
  const old = await tx.query<{ id: string }>(
    `select event_id as id from event_payload where created_at ${OLDER} order by created_at limit ${BATCH}`,
    [payloadDays],
  );
  if (old.length === 0) return false;
  const events = [old.map(({ id }) => id)];
  // Deliveries, attempts, payloads: as the deletion of a session takes them.
  tx.send(
    `update delivery set state = 'stopped', ended_at = handoff_now(), lease_until = null, last_reason = 'retention'
     where delivery_id in (select delivery_id from delivery where event_id = any ($1::uuid[]) and ended_at is null
                           for update skip locked)`,
    events,
  );
  tx.send(
    `update delivery_attempt set state = 'failed', reason = 'retention'
     where attempt_id in (select a.attempt_id from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id
                          where v.event_id = any ($1::uuid[]) and a.state = 'pending' for update of a skip locked)`,
    events,
  );
  tx.send(
    `update delivery_attempt set response_head = null
     where attempt_id in (select a.attempt_id from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id
                          where v.event_id = any ($1::uuid[]) and a.response_head is not null for update of a skip locked)`,
    events,
  );
  const gone = await tx.query(
    `delete from event_payload where event_id in (
       select p.event_id from event_payload p where p.event_id = any ($1::uuid[])
         and not exists (select 1 from delivery v where v.event_id = p.event_id and v.ended_at is null)
         and not exists (select 1 from delivery v join delivery_attempt a on a.delivery_id = v.delivery_id
                         where v.event_id = p.event_id
                           and (a.state in ('pending', 'started') or a.response_head is not null))
       for update of p skip locked)
     returning 1`,
    events,
  );
  return old.length === BATCH && gone.length > 0;
}

/**
 * Deletes a batch of deliveries that are too old and have ended, with their attempts.
 *
 * @returns whether there may be more
 */
export async function forgetDeliveries(tx: Transaction, logDays: number): Promise<boolean> {
  const old = await tx.query<{ id: string }>(
    `select delivery_id as id from delivery where created_at ${OLDER} and ended_at is not null
     order by created_at limit ${BATCH} for update skip locked`,
    [logDays],
  );
  if (old.length === 0) return false;
  const deliveries = [old.map(({ id }) => id)];
  tx.send('delete from delivery_attempt where delivery_id = any ($1::uuid[])', deliveries);
  tx.send('delete from delivery where delivery_id = any ($1::uuid[])', deliveries);
  return old.length === BATCH;
}
