import { isUuid } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { AttemptRecord, ClaimedDelivery, DeliveryLedger } from '../webhooks/ports.ts';
import { sealContextOfEvent } from './events.ts';
import { openSecret } from './webhook-secrets.ts';
import type { Tenants, Transaction } from './tenants.ts';

/** How long an attempt may hold its delivery, in seconds: its 15 s limit and room for the database. */
const LEASE_SECONDS = 45;

/** Channel on which senders are woken; nothing is said on it but "look". */
export const DELIVERIES_CHANNEL = 'handoff_deliveries';

/**
 * Makes the deliveries of events due and takes their wishes away, in one statement: no event without its deliveries,
 * none twice. Wakes the senders when there is something to send.
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
  const [row] = await tx.query<{ made: number }>(
    `with taken as (
       delete from outbox where wish = 'dispatch' and ${column} = any (array[$1::${type}]) returning subject_id
     ), made as (
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner)
       select gen_random_uuid(), e.event_id, d.destination_id, e.application_id, 'sender'
       from taken join event e on e.event_id = taken.subject_id
       join webhook_destination d on d.application_id = e.application_id
         and d.enabled and d.deleted_at is null and e.type = any (d.subscribed_events)
       on conflict (event_id, destination_id) do nothing
       returning 1
     )
     select count(*)::int as made from made`,
    [value],
  );
  const made = row?.made ?? 0;
  if (made > 0) tx.send(`select pg_notify('${DELIVERIES_CHANNEL}', '')`);
  return made;
}

/** The sender's side of the delivery log. */
export function deliveryLedger(tenants: Tenants, sealer: PayloadSealer): DeliveryLedger {
  return {
    claimDue: (limit) =>
      tenants.acrossTenants('delivery', async (tx) => {
        const byHand = await claimByHand(tx, sealer, limit);
        if (byHand.length >= limit) return { claimed: byHand, more: true };
        const due = await claimDeliveries(
          tx,
          sealer,
          `select delivery_id from delivery
           where owner = 'sender' and ended_at is null and next_at <= handoff_now()
             and (lease_until is null or lease_until < handoff_now())
           order by next_at limit $1 for update skip locked`,
          [limit - byHand.length],
        );
        return { claimed: [...byHand, ...due], more: false };
      }),
    claimOne: async (deliveryId) => {
      if (!isUuid(deliveryId)) return { ended: true as const, state: 'stopped' };
      return tenants.acrossTenants('delivery', async (tx) => {
        const [claimed] = await claimDeliveries(
          tx,
          sealer,
          `select delivery_id from delivery
           where delivery_id = $1 and ended_at is null and (lease_until is null or lease_until < handoff_now())
           for update`,
          [deliveryId],
        );
        if (claimed !== undefined) return claimed;
        const [row] = await tx.query<{ ended: boolean; state: string }>(
          'select ended_at is not null as ended, state from delivery where delivery_id = $1',
          [deliveryId],
        );
        if (row?.ended === false) return { ended: false as const, retryInMs: 60_000 };
        return { ended: true as const, state: row?.state ?? 'stopped' };
      });
    },
    record: (record) => tenants.acrossTenants('delivery', async (tx) => recordAttempt(tx, record)),
  };
}

/** Takes the deliveries that `selection` locks: lease, attempt number and attempt row, before anything is sent. */
export async function claimDeliveries(
  tx: Transaction,
  sealer: PayloadSealer,
  selection: string,
  values: readonly unknown[],
): Promise<ClaimedDelivery[]> {
  return takeClaimed(
    tx,
    sealer,
    `taken as (
       update delivery set attempts = attempts + 1, lease_until = handoff_now() + interval '${LEASE_SECONDS} seconds'
       where delivery_id in (${selection})
       returning delivery_id, event_id, destination_id, application_id, attempts, trigger
     ), lost as (
       -- An attempt that was sent or not, and never recorded.
       update delivery_attempt a set state = 'unknown' from taken c
       where a.delivery_id = c.delivery_id and a.state = 'started' and a.trigger <> 'manual'
     ), claimed as (
       insert into delivery_attempt
         (delivery_id, attempt, trigger, application_id, destination_id, request_url, started_at)
       select t.delivery_id, t.attempts, t.trigger, t.application_id, t.destination_id, d.url, handoff_now()
       from taken t join webhook_destination d on d.destination_id = t.destination_id
       returning attempt_id, delivery_id, attempt, trigger, application_id, destination_id, request_url
     )`,
    values,
  );
}

/** Takes attempts that owners want by hand, oldest first. They go to disabled destinations too, and to the URL of old. */
function claimByHand(tx: Transaction, sealer: PayloadSealer, limit: number): Promise<ClaimedDelivery[]> {
  return takeClaimed(
    tx,
    sealer,
    `claimed as (
       update delivery_attempt set state = 'started', started_at = handoff_now()
       where attempt_id in (select attempt_id from delivery_attempt where state = 'pending'
                            order by created_at limit $1 for update skip locked)
       returning attempt_id, delivery_id, attempt, trigger, application_id, destination_id, request_url
     )`,
    [limit],
  );
}

/** All that the attempts of the relation `claimed` need. */
async function takeClaimed(
  tx: Transaction,
  sealer: PayloadSealer,
  claimed: string,
  values: readonly unknown[],
): Promise<ClaimedDelivery[]> {
  const rows = await tx.query<ClaimedRow>(
    `with ${claimed}
     select c.delivery_id as "deliveryId", c.attempt_id as "attemptId", c.trigger, c.attempt,
       c.attempt - v.schedule_start as "scheduleAttempt", e.sequence::float8 as sequence, e.event_id as "eventId",
       e.type as "eventType", c.destination_id as "destinationId", c.application_id as "applicationId",
       e.session_id as "sessionId", (d.enabled or c.trigger = 'manual') and d.deleted_at is null as enabled,
       floor(extract(epoch from e.created_at))::float8 as "createdAt", p.payload, c.request_url as url,
       d.payload_mode as "payloadMode", d.didit_headers_signed_with as "diditHeadersSignedWith",
       array(select s.sealed from webhook_secret s where s.destination_id = c.destination_id
             and (s.expires_at is null or s.expires_at > handoff_now()) order by s.expires_at desc nulls first) as secrets,
       array(select m.media_id::text from session_media m
             where m.session_id = e.session_id and m.application_id = c.application_id and m.object_key is not null)
         as "mediaIds", floor(extract(epoch from handoff_now()))::float8 as "nowSeconds",
       case when e.dedupe_key like '%:token' then json_build_object(
         'kid', t.kid, 'claims', json_build_object(
           'session_id', t.session_id, 'session_kind', t.session_kind, 'from_application_id', t.issuer_id,
           'for_application_id', t.partner_id, 'iat', extract(epoch from t.issued_at)::bigint,
           'exp', extract(epoch from t.expires_at)::bigint, 'jti', t.token_id)) end as token
     from claimed c
     join delivery v on v.delivery_id = c.delivery_id
     join event e on e.event_id = v.event_id
     join event_payload p on p.event_id = v.event_id
     join webhook_destination d on d.destination_id = c.destination_id
     left join share_token t on e.type = 'share.received' and t.token_id = e.token_id`,
    values,
  );
  return rows.map(({ applicationId, sessionId, mediaIds, nowSeconds, payload, secrets, ...row }) => ({
    ...row,
    media: sessionId === null ? null : { applicationId, sessionId, mediaIds, nowSeconds },
    payload: sealer.openPayload(
      sealContextOfEvent({ applicationId, sessionId, eventId: row.eventId }),
      payload,
    ) as JsonObject,
    secrets: secrets.map((sealed) => openSecret(sealer, applicationId, row.destinationId, sealed)),
  }));
}

interface ClaimedRow extends Omit<ClaimedDelivery, 'payload' | 'media' | 'secrets' | 'token'> {
  applicationId: string;
  sessionId: string | null;
  mediaIds: string[];
  nowSeconds: number;
  payload: Buffer;
  secrets: Buffer[];
  token: {
    kid: string;
    claims: NonNullable<ClaimedDelivery['token']>['claims'] & { session_kind: SessionKind };
  } | null;
}

/** Records an attempt with what follows from it for its delivery and destination. */
export function recordAttempt(tx: Transaction, record: AttemptRecord): void {
  if (record.trigger === 'manual') recordSuccessByHand(tx, record);
  else recordScheduled(tx, record);
  tx.send(
    `update delivery_attempt set state = case when $2 = 'delivered' then 'delivered' else 'failed' end,
       duration_ms = $3, connected_ip = $4, response_status = $5, response_head = $6, reason = $7, request_headers = $8,
       body_truncated = $9, location_host = $10, hint = $11
     where attempt_id = $1`,
    [
      record.attemptId,
      record.state,
      record.durationMs,
      record.connectedIp,
      record.responseStatus,
      record.responseHead,
      record.reason,
      record.requestHeaders === null ? null : JSON.stringify(record.requestHeaders),
      record.bodyTruncated,
      record.locationHost,
      record.hint,
    ],
  );
  if (record.disables !== null) {
    tx.send(
      `update webhook_destination set enabled = false, disabled_reason = $2, disabled_at = handoff_now(),
         updated_at = handoff_now()
       where destination_id = $1 and enabled`,
      [record.destinationId, record.disables],
    );
  }
  if (record.trigger !== 'manual' && record.state === 'retrying') {
    tx.send(
      `with handed_over as (
         update delivery set owner = 'run'
         where delivery_id = $1 and owner = 'sender' and ended_at is null and attempts = $2 returning delivery_id
       )
       insert into outbox (wish, subject_id) select 'retry_delivery', delivery_id from handed_over`,
      [record.deliveryId, record.attempt],
    );
  }
}

/** A success by hand ends the schedule; a failure leaves it alone. A token's deliveries are its onboarding's own. */
function recordSuccessByHand(tx: Transaction, { deliveryId, state, reason }: AttemptRecord): void {
  if (state !== 'delivered') return;
  tx.send(
    `update delivery set state = 'delivered', last_reason = $2, ended_at = handoff_now()
     where delivery_id = $1 and state <> 'delivered' and owner <> 'onboarding'`,
    [deliveryId, reason],
  );
}

function recordScheduled(tx: Transaction, record: AttemptRecord): void {
  // The delivery's row first, as a claim takes them. An attempt whose lease ran out may be recorded after a later one
  // began: it never undoes an ending, and what it wants next is the later one's to say.
  tx.send(
    `update delivery set state = $2, last_reason = $3, lease_until = null,
       ended_at = case when $2 = 'retrying' then null else handoff_now() end,
       next_at = handoff_now() + make_interval(secs => $4 / 1000.0)
     where delivery_id = $1
       and (ended_at is null and (attempts = $5 or $2 <> 'retrying') or state = 'stopped' and $2 = 'delivered')`,
    [record.deliveryId, record.state, record.reason, record.retryInMs ?? 0, record.attempt],
  );
}
