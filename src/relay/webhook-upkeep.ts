import { ailingDestinations, tendDestination, type DestinationNotice } from '../postgres/destination-upkeep.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { DELIVERY_MOVES, MOVE_BATCH, movesToMake } from '../postgres/held-deliveries.ts';
import type { Tenants } from '../postgres/tenants.ts';
import { forgetDeliveries, forgetPayloads, type WebhookRetention } from '../postgres/webhook-retention.ts';

/** Does this for each, whatever becomes of the others. Rejects at the end with the first error. */
async function forEach<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const errors: unknown[] = [];
  for (const one of all) await work(one).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}

/**
 * Holds what disabled destinations would be sent, releases it once they are enabled again, and ends it once they are
 * deleted: a batch of each destination, each in a transaction of its own. Rejects when one fails, after all others.
 *
 * @returns whether there is more
 */
export async function moveDeliveries(tenants: Tenants): Promise<boolean> {
  let more = false;
  await forEach(await tenants.acrossTenants('relay', movesToMake), async ({ destinationId, move }) => {
    const moved = await tenants.acrossTenants('relay', (tx) => DELIVERY_MOVES[move](tx, destinationId));
    more ||= moved >= MOVE_BATCH;
  });
  return more;
}

/**
 * Tells owners of destinations that nothing gets through to, and switches off those where nothing has for five days.
 * Rejects when one fails, after all others.
 */
export async function tendDestinations(
  tenants: HandoffTenants,
  onNotice: (notice: DestinationNotice) => void,
): Promise<void> {
  await forEach(await tenants.acrossTenants('relay', (_tx, sql) => ailingDestinations(sql)), async (destinationId) => {
    const notice = await tenants.acrossTenants('relay', (tx, sql) => tendDestination(tx, sql, destinationId));
    if (notice !== null) onNotice(notice);
  });
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
