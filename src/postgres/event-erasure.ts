import type { Transaction } from './tenants.ts';

/** Which events tell what is to go: SQL of their ids, with its parameters. */
export interface ToldEvents {
  readonly select: string;
  readonly values: readonly unknown[];
}

/**
 * Deletes what events tell, for good: their payloads, what receivers answered (a reply may repeat its request), and the
 * deliveries that would still carry them. The events themselves stay: they are the audit trail.
 *
 * @param reason of the deliveries that it stops
 */
export function eraseEvents(
  tx: Transaction,
  reason: 'session_deleted' | 'entity_deleted',
  { select: told, values }: ToldEvents,
): void {
  // Each a statement of its own, so that it sees what the one before it waited for.
  tx.send(`delete from outbox where wish = 'dispatch' and subject_id in (${told})`, values);
  // In the order in which a repair takes them.
  tx.send(
    `select 1 from delivery v join event e on e.event_id = v.event_id where e.event_id in (${told})
     order by e.created_at, e.event_id, v.destination_id for update of v`,
    values,
  );
  tx.send(
    `update delivery set state = 'stopped', ended_at = handoff_now(), lease_until = null, last_reason = '${reason}'
     where ended_at is null and event_id in (${told})`,
    values,
  );
  // Those without an answer too: one that is being recorded at this moment is waited for.
  tx.send(
    `update delivery_attempt set response_head = null, state = case state when 'pending' then 'failed' else state end,
       reason = case state when 'pending' then '${reason}' else reason end
     where delivery_id in (select delivery_id from delivery where event_id in (${told}))`,
    values,
  );
  tx.send(`delete from event_payload where event_id in (${told})`, values);
}
