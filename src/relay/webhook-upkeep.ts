import { ailingDestinations, tendDestination, type DestinationNotice } from '../postgres/destination-upkeep.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { DELIVERY_MOVES, MOVE_BATCH, movesToMake } from '../postgres/held-deliveries.ts';
import type { Tenants } from '../postgres/tenants.ts';
import { forgetDeliveries, forgetPayloads, type WebhookRetention } from '../postgres/webhook-retention.ts';

/**
 * Holds what disabled destinations would be sent, releases it once they are enabled again, and ends it once they are
 * deleted: a batch of each destination, each in a transaction of its own.
 *
 * @returns whether there is more
 */
export async function moveDeliveries(tenants: Tenants): Promise<boolean> {
  let more = false;
  for (const { destinationId, move } of await tenants.acrossTenants('relay', movesToMake)) {
    const moved = await tenants.acrossTenants('relay', (tx) => DELIVERY_MOVES[move](tx, destinationId));
    more ||= moved >= MOVE_BATCH;
  }
  return more;
}

/** Tells owners of destinations that nothing gets through to, and switches off those where nothing has for five days. */
export async function tendDestinations(
  tenants: HandoffTenants,
  onNotice: (notice: DestinationNotice) => void,
): Promise<void> {
  for (const destinationId of await tenants.acrossTenants('relay', (_tx, sql) => ailingDestinations(sql))) {
    const notice = await tenants.acrossTenants('relay', (tx, sql) => tendDestination(tx, sql, destinationId));
    if (notice !== null) onNotice(notice);
  }
}

/**
 * Deletes a batch of payloads and one of deliveries whose time is over.
 *
 * @returns whether there is more
 */
export async function forgetOldWebhooks(
  tenants: Tenants,
  { payloadDays, logDays }: WebhookRetention,
): Promise<boolean> {
  const morePayloads = await tenants.acrossTenants('relay', (tx) => forgetPayloads(tx, payloadDays));
  const moreDeliveries = await tenants.acrossTenants('relay', (tx) => forgetDeliveries(tx, logDays));
  return morePayloads || moreDeliveries;
}
