import type { SubscribableEvent } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
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
 * @returns what its owner set, before and after, null when it is not there; `url_taken` when another living destination of
 *   the application has the new URL: the transaction is lost then
 */
export async function updateDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  change: DestinationChange,
): Promise<{ readonly before: JsonObject; readonly after: JsonObject } | 'url_taken' | null> {
  // Whoever records an attempt locks the health row before the destination.
  if (change.url !== undefined || change.enabled !== undefined) lockHealth(tx, applicationId, destinationId);
  try {
    const [done] = await tx.query<Done>(
      `with before as (
         select destination_id, url, enabled, ${SETTINGS} as settings from webhook_destination
         where application_id = $1 and destination_id = $2 and deleted_at is null for no key update
       )
       update webhook_destination d set label = coalesce($3, d.label), url = coalesce($4, d.url),
         enabled = coalesce($5, d.enabled), subscribed_events = coalesce($6, d.subscribed_events),
         payload_mode = coalesce($7, d.payload_mode),
         didit_headers_signed_with = coalesce($8, d.didit_headers_signed_with), updated_at = handoff_now(),
         disabled_reason = case when $5 then null when not $5 and before.enabled then 'owner' else d.disabled_reason end,
         disabled_at = case when $5 then null when not $5 and before.enabled then handoff_now() else d.disabled_at end
       from before where d.destination_id = before.destination_id
       returning d.url <> before.url as moved, before.enabled as "wasEnabled", d.enabled, before.settings as before,
         (select ${SETTINGS} from (select d.*) as _) as after`,
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
    if (done === undefined) return null;
    await followUp(tx, destinationId, done);
    return { before: done.before, after: done.after };
  } catch (error) {
    if ((error as { constraint?: unknown }).constraint === 'webhook_destination_url') return 'url_taken';
    throw error;
  }
}

interface Done extends Record<string, unknown> {
  readonly moved: boolean;
  readonly wasEnabled: boolean;
  readonly enabled: boolean;
  readonly before: JsonObject;
  readonly after: JsonObject;
}

/** What an owner sets. */
const SETTINGS = `jsonb_build_object('label', label, 'url', url, 'enabled', enabled, 'subscribed_events', subscribed_events,
  'payload_mode', payload_mode, 'didit_headers_signed_with', didit_headers_signed_with)`;

async function followUp(
  tx: Transaction,
  destinationId: string,
  { moved, wasEnabled, enabled }: { moved: boolean; wasEnabled: boolean; enabled: boolean },
): Promise<void> {
  if (moved || (enabled && !wasEnabled)) resetHealth(tx, destinationId);
  if (enabled && !wasEnabled) await releaseDeliveries(tx, destinationId);
  if (!enabled && wasEnabled) await holdDeliveries(tx, destinationId);
}
