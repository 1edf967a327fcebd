import type { PayloadSealer, SealContext } from '../sharing/ports.ts';
import type { AttemptRecord, DisabledDestination, DisablingReason } from '../webhooks/ports.ts';
import { disabledEvent, type DestinationFacts } from '../webhooks/destination-events.ts';
import { recordHealth } from './destination-health.ts';
import { eventStore } from './events.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/**
 * Records attempts with what follows from them: for all of them first the health of their destinations, in the order of
 * their ids, then the deliveries, then the attempts, then the destinations that they switch off.
 *
 * @returns the destinations that were switched off
 */
export async function recordAttempts(
  tx: Transaction,
  sealer: PayloadSealer,
  records: readonly AttemptRecord[],
): Promise<DisabledDestination[]> {
  const inOrder = records.toSorted((a, b) => (a.destinationId < b.destinationId ? -1 : 1));
  for (const record of inOrder) recordHealth(tx, record);
  for (const record of inOrder) recordDelivery(tx, record);
  for (const record of inOrder) recordAttempt(tx, sealer, record);
  const disabled: DisabledDestination[] = [];
  for (const { destinationId, attemptId, disables } of inOrder) {
    const one = disables === null ? null : await disable(tx, sealer, { destinationId, attemptId, reason: disables });
    if (one !== null) disabled.push(one);
  }
  return disabled;
}

function recordDelivery(tx: Transaction, record: AttemptRecord): void {
  if (record.trigger === 'manual') recordByHand(tx, record);
  else recordScheduled(tx, record);
}

/**
 * A success by hand ends the schedule; a failure leaves it alone, and ends a delivery that has none. A token's deliveries
 * are its onboarding's own.
 */
function recordByHand(tx: Transaction, { deliveryId, state, reason }: AttemptRecord): void {
  if (state === 'delivered') {
    tx.send(
      `update delivery set state = 'delivered', last_reason = $2, ended_at = handoff_now()
       where delivery_id = $1 and state <> 'delivered' and owner <> 'onboarding'`,
      [deliveryId, reason],
    );
  } else {
    tx.send(
      `update delivery set state = 'exhausted', last_reason = $2, ended_at = handoff_now()
       where delivery_id = $1 and owner = 'hand' and ended_at is null`,
      [deliveryId, reason],
    );
  }
}

/** An attempt of a schedule that was begun anew meanwhile: what it wanted next is nobody's wish any more. */
const FORMER = `($2 in ('retrying', 'exhausted') and $5 <= v.schedule_start)`;

/** How the delivery `v` to the destination `d` stands then. */
const STATE = `case when ${FORMER} then v.state when $2 <> 'retrying' or d.enabled or v.owner = 'onboarding' then $2::text
  when d.deleted_at is null then 'held' else 'stopped' end`;

const GOES_ON = `${STATE} in ('pending', 'retrying', 'held')`;

function recordScheduled(tx: Transaction, record: AttemptRecord): void {
  // An attempt whose lease ran out may be recorded after a later one began: it never undoes an ending, and what it wants
  // next is the later one's to say.
  tx.send(
    `update delivery v set state = ${STATE}, last_reason = $3, lease_until = null,
       owner = case when ${STATE} = 'held' then 'sender' else v.owner end,
       ended_at = case when not ${GOES_ON} then handoff_now() end,
       next_at = case when ${FORMER} then v.next_at else handoff_now() + make_interval(secs => $4 / 1000.0) end
     from webhook_destination d
     where v.delivery_id = $1 and d.destination_id = v.destination_id
       and (v.ended_at is null and (v.attempts = $5 or not ${GOES_ON}) or v.state = 'stopped' and $2 = 'delivered')`,
    [record.deliveryId, record.state, record.reason, record.retryInMs ?? 0, record.scheduledSoFar],
  );
  if (record.state !== 'retrying') return;
  tx.send(
    `with handed_over as (
       update delivery set owner = 'run'
       where delivery_id = $1 and owner = 'sender' and state = 'retrying' and ended_at is null and attempts = $2
       returning delivery_id
     )
     insert into outbox (wish, subject_id) select 'retry_delivery', delivery_id from handed_over`,
    [record.deliveryId, record.scheduledSoFar],
  );
}

/** What the head of a receiver's reply is bound to: it may repeat its request. */
export function replyContext(applicationId: string, attemptId: string): SealContext {
  return { applicationId, sessionId: attemptId, category: 'webhook_reply', position: 0 };
}

function recordAttempt(tx: Transaction, sealer: PayloadSealer, record: AttemptRecord): void {
  const { applicationId, attemptId, responseHead } = record;
  // A statement of its own, so that the next one sees whether what was sent was erased meanwhile: its answer goes too.
  tx.send('select 1 from delivery_attempt where attempt_id = $1 for update', [record.attemptId]);
  tx.send(
    `update delivery_attempt a set state = case when $2 = 'delivered' then 'delivered' else 'failed' end,
       duration_ms = $3, connected_ip = $4, response_status = $5, reason = $7, request_headers = $8,
       body_truncated = $9, location_host = $10, hint = $11, left_out = $12,
       response_head = (select $6::bytea from delivery v join event_payload p on p.event_id = v.event_id
                        where v.delivery_id = a.delivery_id)
     where attempt_id = $1`,
    [
      record.attemptId,
      record.state,
      record.durationMs,
      record.connectedIp,
      record.responseStatus,
      responseHead === null
        ? null
        : sealer.sealBytes(replyContext(applicationId, attemptId), Buffer.from(responseHead)),
      record.reason,
      record.requestHeaders === null ? null : JSON.stringify(record.requestHeaders),
      record.bodyTruncated,
      record.locationHost,
      record.hint,
      record.leftOut,
    ],
  );
}

/**
 * Switches a destination off, once, and tells its application; the relay holds what it would be sent. An attempt at a
 * former URL switches nothing off.
 */
async function disable(
  tx: Transaction,
  sealer: PayloadSealer,
  { destinationId, attemptId, reason }: { destinationId: string; attemptId: string; reason: DisablingReason },
): Promise<DisabledDestination | null> {
  const [off] = await tx.query<DestinationFacts & { at: string }>(
    `with off as (
       update webhook_destination set enabled = false, disabled_reason = $2, disabled_at = handoff_now(),
         updated_at = handoff_now()
       where destination_id = $1 and enabled and deleted_at is null
         and url = (select request_url from delivery_attempt where attempt_id = $3)
       returning destination_id, application_id, label, disabled_at
     )
     select off.destination_id as "destinationId", off.application_id as "applicationId", off.label, a.environment,
       ${isoColumn('off.disabled_at')} as at
     from off join application a on a.application_id = off.application_id`,
    [destinationId, reason, attemptId],
  );
  if (off === undefined) return null;
  eventStore(tx, sealer).insert([disabledEvent(off, { reason, disabledAt: off.at })], { kind: 'system', id: null });
  return { applicationId: off.applicationId, destinationId, reason };
}
