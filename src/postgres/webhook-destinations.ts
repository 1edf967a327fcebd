import type { SubscribableEvent } from '../domain/events.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { DestinationFacts } from '../webhooks/destination-events.ts';
import type { DisablingReason } from '../webhooks/ports.ts';
import { REST_ENDS } from './destination-health.ts';
import { stopDeliveries } from './held-deliveries.ts';
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
  readonly payloadMode: 'full' | 'thin';
  /** Which of two live secrets signs Didit's headers. */
  readonly diditHeadersSignedWith: 'previous' | 'current';
  /** Null while it is enabled. */
  readonly disabledReason: 'owner' | DisablingReason | null;
  /** ISO 8601, as all times here. */
  readonly disabledAt: string | null;
  /** The first failure since the last success. */
  readonly failingSince: string | null;
  /** The end of its rest, while it is enabled and has one. */
  readonly pausedUntil: string | null;
  /** Deliveries that are kept until it is enabled again. */
  readonly held: number;
  /** Null while one secret is live. */
  readonly previousSecretExpiresAt: string | null;
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
    d.subscribed_events as "subscribedEvents", d.payload_mode as "payloadMode",
    d.didit_headers_signed_with as "diditHeadersSignedWith", d.disabled_reason as "disabledReason",
    ${isoColumn('d.disabled_at')} as "disabledAt", ${isoColumn('h.failing_since')} as "failingSince",
    case when d.enabled and ${REST_ENDS} > handoff_now() then ${isoColumn(REST_ENDS)} end as "pausedUntil",
    (select count(*)::float8 from delivery v where v.destination_id = d.destination_id and v.state = 'held') as held,
    (select ${isoColumn('max(s.expires_at)')} from webhook_secret s
     where s.destination_id = d.destination_id and s.expires_at > handoff_now()) as "previousSecretExpiresAt",
    ${isoColumn('d.created_at')} as "createdAt",
    ${isoColumn('d.updated_at')} as "updatedAt", total.attempts, total.failed, total.min_ms as "minMs",
    total.average_ms as "averageMs", total.max_ms as "maxMs", ${isoColumn('total.last_at')} as "lastAt"
  from webhook_destination d
  left join webhook_health h on h.destination_id = d.destination_id
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

/** Whether a destination is the application's own, and not deleted. */
export async function hasDestination(tx: Transaction, applicationId: string, destinationId: string): Promise<boolean> {
  const rows = await tx.query(
    'select 1 from webhook_destination where application_id = $1 and destination_id = $2 and deleted_at is null',
    [applicationId, destinationId],
  );
  return rows.length > 0;
}

/** What events about a destination, and sends to it by hand, need to know; null when it is not there. */
export async function readDestinationFacts(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<DestinationFacts | null> {
  const [row] = await tx.query<DestinationFacts>(FACTS, [applicationId, destinationId]);
  return row ?? null;
}

/** The same, with the destination locked against changes of its secrets, not against deliveries. */
export async function lockDestinationFacts(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<DestinationFacts | null> {
  const [row] = await tx.query<DestinationFacts>(`${FACTS} for no key update of d`, [applicationId, destinationId]);
  return row ?? null;
}

const FACTS = `select d.destination_id as "destinationId", d.application_id as "applicationId", a.environment, d.label
  from webhook_destination d join application a on a.application_id = d.application_id
  where d.application_id = $1 and d.destination_id = $2 and d.deleted_at is null`;

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
    payloadMode: 'full' | 'thin';
    secret: Buffer;
  },
): Promise<string | null> {
  const destinationId = newId();
  const made = await tx.query(
    `with made as (
       insert into webhook_destination
         (destination_id, application_id, label, url, enabled, subscribed_events, payload_mode, disabled_reason, disabled_at)
       values ($1, $2, $3, $4, $5, $6, $9, case when not $5 then 'owner' end, case when not $5 then handoff_now() end)
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
      row.payloadMode,
    ],
  );
  return made.length === 0 ? null : destinationId;
}

/** Locks how a destination fares, which comes before its deliveries. */
export function lockHealth(tx: Transaction, applicationId: string, destinationId: string): void {
  tx.send('select 1 from webhook_health where application_id = $1 and destination_id = $2 for update', [
    applicationId,
    destinationId,
  ]);
}

/** Deletes a destination, and its secrets for good; what it would be sent ends. Resolves to whether it was there. */
export async function deleteDestination(
  tx: Transaction,
  applicationId: string,
  destinationId: string,
): Promise<boolean> {
  lockHealth(tx, applicationId, destinationId);
  const rows = await tx.query(
    `update webhook_destination set deleted_at = handoff_now(), updated_at = handoff_now(), enabled = false
     where application_id = $1 and destination_id = $2 and deleted_at is null returning destination_id`,
    [applicationId, destinationId],
  );
  if (rows.length === 0) return false;
  tx.send('delete from webhook_secret where application_id = $1 and destination_id = $2', [
    applicationId,
    destinationId,
  ]);
  await stopDeliveries(tx, destinationId);
  return true;
}
