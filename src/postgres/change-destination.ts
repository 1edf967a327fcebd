import type { SubscribableEvent } from '../domain/events.ts';
import { holdDeliveries, releaseDeliveries, resetHealth } from './held-deliveries.ts';
import type { Transaction } from './tenants.ts';
import { lockHealth } from './webhook-destinations.ts';

/** What an owner may change; an absent member stays. */
export interface DestinationChange {
  readonly label?: string | undefined;
  readonly url?: string | undefined;
  readonly enabled?: boolean | undefined;
  readonly subscribedEvents?: readonly SubscribableEvent[] | undefined;
  readonly payloadMode?: 'full' | 'thin' | undefined;
  readonly diditHeadersSignedWith?: 'previous' | 'current' | undefined;
}

/**
 * Changes a destination. Switching it off holds its deliveries, switching it on releases them; either a new URL or
 * switching it on forgets how it fared.
 *
 * @returns false when another living destination of the application has the new URL; the transaction is lost then
 */
export async function updateDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  change: DestinationChange,
): Promise<boolean> {
  // Whoever records an attempt locks the health row before the destination.
  if (change.url !== undefined || change.enabled !== undefined) lockHealth(tx, applicationId, destinationId);
  try {
    const [done] = await tx.query<{ moved: boolean; wasEnabled: boolean; enabled: boolean }>(
      `with before as (
         select destination_id, url, enabled from webhook_destination
         where application_id = $1 and destination_id = $2 and deleted_at is null for no key update
       )
       update webhook_destination d set label = coalesce($3, d.label), url = coalesce($4, d.url),
         enabled = coalesce($5, d.enabled), subscribed_events = coalesce($6, d.subscribed_events),
         payload_mode = coalesce($7, d.payload_mode),
         didit_headers_signed_with = coalesce($8, d.didit_headers_signed_with), updated_at = handoff_now(),
         disabled_reason = case when $5 then null when not $5 and before.enabled then 'owner' else d.disabled_reason end,
         disabled_at = case when $5 then null when not $5 and before.enabled then handoff_now() else d.disabled_at end
       from before where d.destination_id = before.destination_id
       returning d.url <> before.url as moved, before.enabled as "wasEnabled", d.enabled`,
      [
        applicationId,
        destinationId,
        change.label ?? null,
        change.url ?? null,
        change.enabled ?? null,
        change.subscribedEvents ?? null,
        change.payloadMode ?? null,
        change.diditHeadersSignedWith ?? null,
      ],
    );
    if (done !== undefined) await followUp(tx, destinationId, done);
    return true;
  } catch (error) {
    if ((error as { constraint?: unknown }).constraint === 'webhook_destination_url') return false;
    throw error;
  }
}

async function followUp(
  tx: Transaction,
  destinationId: string,
  { moved, wasEnabled, enabled }: { moved: boolean; wasEnabled: boolean; enabled: boolean },
): Promise<void> {
  if (moved || (enabled && !wasEnabled)) resetHealth(tx, destinationId);
  if (enabled && !wasEnabled) await releaseDeliveries(tx, destinationId);
  if (!enabled && wasEnabled) await holdDeliveries(tx, destinationId);
}
