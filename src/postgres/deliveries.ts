import { isUuid } from '../domain/ids.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { AttemptRecord, DeliveryLedger, DisabledDestination } from '../webhooks/ports.ts';
import { claimDue } from './claim-deliveries.ts';
import { claimOne } from './claim-one.ts';
import { inBatches } from './in-batches.ts';
import { recordAttempts } from './record-attempt.ts';
import type { Tenants, Transaction } from './tenants.ts';

/** Channel on which senders are woken; nothing is said on it but "look". */
export const DELIVERIES_CHANNEL = 'handoff_deliveries';

/** Attempts that are recorded in one transaction: it holds the rows of their destinations for some milliseconds. */
const MOST_RECORDS = 50;

/**
 * Makes the deliveries of events and takes their wishes away, in one statement: no event without its deliveries, none
 * twice. A destination that is switched off has them held. Wakes the senders when there is something to send.
 *
 * @param which the events of one token, or these events
 */
export async function dispatchEvents(
  tx: Transaction,
  which: { readonly tokenId: string } | { readonly eventIds: readonly string[] },
): Promise<number> {
  const [column, type, value] =
    'tokenId' in which
      ? (['token_id', 'uuid', which.tokenId] as const)
      : (['subject_id', 'uuid[]', which.eventIds] as const);
  const [row] = await tx.query<{ made: number; due: number }>(
    `with taken as (
       delete from outbox where wish = 'dispatch' and ${column} = any (array[$1::${type}]) returning subject_id
     ), made as (
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner, state)
       select gen_random_uuid(), e.event_id, d.destination_id, e.application_id, 'sender',
         case when d.enabled then 'pending' else 'held' end
       from taken join event e on e.event_id = taken.subject_id
       join webhook_destination d on d.application_id = e.application_id
         and d.deleted_at is null and e.type = any (d.subscribed_events)
         -- Bad news of a destination goes to the others.
         and (e.type not like 'webhook.%' or e.subject_id <> d.destination_id)
         -- Nothing of a share that comes and goes is held.
         and (e.type <> 'share.received' or d.enabled)
       on conflict (event_id, destination_id) do nothing
       returning state
     )
     select count(*)::int as made, (count(*) filter (where state = 'pending'))::int as due from made`,
    [value],
  );
  if (row !== undefined && row.due > 0) tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return row?.made ?? 0;
}

/**
 * The sender's side of the delivery log.
 *
 * @param onDisabled called once for each destination that an attempt switched off, after the commit
 */
export function deliveryLedger(
  tenants: Tenants,
  sealer: PayloadSealer,
  onDisabled: (destination: DisabledDestination) => void = () => {},
): DeliveryLedger {
  const record = inBatches<AttemptRecord>(async (records) => {
    const disabled = await tenants.acrossTenants('delivery', (tx) => recordAttempts(tx, sealer, records));
    disabled.forEach(onDisabled);
  }, MOST_RECORDS);
  return {
    claimDue: (limit) => tenants.acrossTenants('delivery', (tx) => claimDue(tx, sealer, limit)),
    claimOne: async (deliveryId) => {
      if (!isUuid(deliveryId)) return { ended: true, state: 'stopped' };
      return tenants.acrossTenants('delivery', (tx) => claimOne(tx, sealer, deliveryId));
    },
    record,
  };
}
