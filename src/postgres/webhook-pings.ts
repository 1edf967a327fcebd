import type { Actor } from '../domain/events.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { pingEvent, type DestinationFacts } from '../webhooks/destination-events.ts';
import { DELIVERIES_CHANNEL } from './deliveries.ts';
import type { AttemptRow } from './delivery-log.ts';
import { insertEvent } from './events.ts';
import { newId } from './new-id.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** What came of the last ping of a destination. */
export interface PingOutcome extends Pick<AttemptRow, 'status' | 'responseStatus'> {
  /** A stable code, e.g. `http_204` or `timeout`; null until the attempt ended. */
  readonly reason: string | null;
  /** ISO 8601; null until a sender took it. */
  readonly attemptedAt: string | null;
}

/**
 * Puts a `webhook.ping` to a destination in line, for one attempt, and wakes the senders.
 *
 * @returns the attempt's id
 */
export function queuePing(tx: Transaction, sealer: PayloadSealer, destination: DestinationFacts, actor: Actor): string {
  const { applicationId, destinationId } = destination;
  const [eventId, attemptId] = [newId(), newId()];
  insertEvent(tx, sealer, eventId, pingEvent(destination, eventId), actor);
  tx.send(
    `with made as (
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner)
       values ($1, $2, $3, $4, 'hand') returning delivery_id
     )
     insert into delivery_attempt
       (attempt_id, delivery_id, attempt, application_id, destination_id, request_url, trigger, state)
     select $5, made.delivery_id, 1, $4, $3, d.url, 'manual', 'pending'
     from made join webhook_destination d on d.application_id = $4 and d.destination_id = $3`,
    [newId(), eventId, destinationId, applicationId, attemptId],
  );
  tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return attemptId;
}

/** What came of the last ping of a destination; null when there was none. */
export async function readLastPing(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<PingOutcome | null> {
  const [row] = await tx.query<PingOutcome>(
    `select case a.state when 'started' then 'pending' else a.state end as status, a.response_status as "responseStatus",
       a.reason, ${isoColumn('a.started_at')} as "attemptedAt"
     from (select delivery_id from delivery
           where application_id = $1 and destination_id = $2 and owner = 'hand' order by created_at desc limit 1) v
     join delivery_attempt a on a.delivery_id = v.delivery_id
     order by a.created_at desc limit 1`,
    [applicationId, destinationId],
  );
  return row ?? null;
}
