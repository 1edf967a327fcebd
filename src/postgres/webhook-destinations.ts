import type { SubscribableEvent } from '../domain/events.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { newId } from './new-id.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';
import { sealSecret } from './webhook-secrets.ts';

/** A destination as its owner sees it, with what became of its deliveries so far. */
export interface DestinationRow {
  readonly destinationId: string;
  readonly label: string;
  readonly url: string;
  readonly enabled: boolean;
  readonly subscribedEvents: readonly SubscribableEvent[];
  /** ISO 8601. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly attempts: number;
  /** Answered with 400 or more, or not at all. */
  readonly failed: number;
  readonly minMs: number | null;
  readonly averageMs: number | null;
  readonly maxMs: number | null;
  readonly lastAt: string | null;
}

const DESTINATION = `select d.destination_id as "destinationId", d.label, d.url, d.enabled,
    d.subscribed_events as "subscribedEvents", ${isoColumn('d.created_at')} as "createdAt",
    ${isoColumn('d.updated_at')} as "updatedAt", total.attempts, total.failed, total.min_ms as "minMs",
    total.average_ms as "averageMs", total.max_ms as "maxMs", ${isoColumn('total.last_at')} as "lastAt"
  from webhook_destination d
  cross join lateral (
    select count(*)::float8 as attempts,
      (count(*) filter (where a.response_status is null or a.response_status >= 400))::float8 as failed,
      min(a.duration_ms) as min_ms, round(avg(a.duration_ms))::float8 as average_ms, max(a.duration_ms) as max_ms,
      max(a.started_at) as last_at
    from delivery v join delivery_attempt a on a.delivery_id = v.delivery_id and a.state not in ('pending', 'started')
    where v.destination_id = d.destination_id and v.created_at > handoff_now() - interval '30 days'
  ) total
  where d.application_id = $1 and d.deleted_at is null`;

/** An application's destinations, oldest first. */
export function listDestinations(tx: Transaction, applicationId: string): Promise<DestinationRow[]> {
  return tx.query<DestinationRow>(`${DESTINATION} order by d.created_at, d.destination_id`, [applicationId]);
}

/** One destination of the application's own that is not deleted. */
export async function readDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<DestinationRow | null> {
  const [row] = await tx.query<DestinationRow>(`${DESTINATION} and d.destination_id = $2`, [
    applicationId,
    destinationId,
  ]);
  return row ?? null;
}

/** Writes a destination with its secret, sealed; resolves to null when the application has this URL already. */
export async function insertDestination(
  tx: Transaction,
  sealer: PayloadSealer,
  row: {
    applicationId: string;
    label: string;
    url: string;
    enabled: boolean;
    subscribedEvents: readonly SubscribableEvent[];
    secret: Buffer;
  },
): Promise<string | null> {
  const destinationId = newId();
  const made = await tx.query(
    `with made as (
       insert into webhook_destination (destination_id, application_id, label, url, enabled, subscribed_events)
       values ($1, $2, $3, $4, $5, $6)
       on conflict (application_id, url) where deleted_at is null do nothing
       returning destination_id, application_id
     ), healthy as (
       insert into webhook_health (destination_id, application_id) select destination_id, application_id from made
     )
     insert into webhook_secret (secret_id, destination_id, application_id, sealed)
     select $7, destination_id, application_id, $8 from made returning destination_id`,
    [
      destinationId,
      row.applicationId,
      row.label,
      row.url,
      row.enabled,
      row.subscribedEvents,
      newId(),
      sealSecret(sealer, row.applicationId, destinationId, row.secret),
    ],
  );
  return made.length === 0 ? null : destinationId;
}

/** What an owner may change; an absent member stays. */
export interface DestinationChange {
  readonly label?: string | undefined;
  readonly url?: string | undefined;
  readonly enabled?: boolean | undefined;
  readonly subscribedEvents?: readonly SubscribableEvent[] | undefined;
}

/**
 * Changes a destination.
 *
 * @returns false when another living destination of the application has the new URL; the transaction is lost then
 */
export async function updateDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
  change: DestinationChange,
): Promise<boolean> {
  try {
    await tx.query(
      `update webhook_destination set label = coalesce($3, label), url = coalesce($4, url),
         enabled = coalesce($5, enabled), subscribed_events = coalesce($6, subscribed_events), updated_at = handoff_now()
       where application_id = $1 and destination_id = $2 and deleted_at is null`,
      [
        applicationId,
        destinationId,
        change.label ?? null,
        change.url ?? null,
        change.enabled ?? null,
        change.subscribedEvents ?? null,
      ],
    );
    return true;
  } catch (error) {
    if ((error as { constraint?: unknown }).constraint === 'webhook_destination_url') return false;
    throw error;
  }
}

/** Deletes a destination, and its secrets for good; resolves to whether it was there. */
export async function deleteDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<boolean> {
  const rows = await tx.query(
    `update webhook_destination set deleted_at = handoff_now(), updated_at = handoff_now(), enabled = false
     where application_id = $1 and destination_id = $2 and deleted_at is null returning destination_id`,
    [applicationId, destinationId],
  );
  if (rows.length === 0) return false;
  tx.send('delete from webhook_secret where destination_id = $1', [destinationId]);
  return true;
}
