import type { SessionKind } from '../domain/decision-categories.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import type { ClaimedDelivery } from '../webhooks/ports.ts';
import {
  ALLOWANCE,
  CLOCK,
  IN_FLIGHT,
  IN_FLIGHT_OF_APPLICATIONS,
  LEASE_SECONDS,
  LOCKED,
  MAX_IN_FLIGHT,
} from './destination-health.ts';
import { sealContextOfEvent } from './events.ts';
import { openSecret } from './webhook-secrets.ts';
import type { Transaction } from './tenants.ts';

/** Nobody is at delivery `v`. */
export const FREE = '(v.lease_until is null or v.lease_until < clock.now)';

/** What delivery `v` is made of is still there. */
export const HAS_PAYLOAD = 'exists (select 1 from event_payload p where p.event_id = v.event_id)';

/** Event `e` carries a share token. */
export const CARRIES_TOKEN = `(e.type = 'share.received' and e.dedupe_key like '%:token')`;

/** Event `e` carries no share token, or one that is open: the rule of `sharing/share-answer.ts`. */
export const TOKEN_IS_OPEN = `(not ${CARRIES_TOKEN} or exists (
    select 1 from share_token t
    where t.token_id = e.token_id and t.closed_at is null and t.expires_at > handoff_now()
      and not exists (select 1 from redemption r where r.token_id = t.token_id)
      and not exists (select 1 from acknowledgement k where k.token_id = t.token_id and k.state = 'unspent')))`;

/**
 * The number of a delivery's next attempt. Who writes it has locked its destination's health before the statement began,
 * so that no two have the same.
 */
export const nextNumber = (deliveryId: string): string =>
  `(select coalesce(max(n.attempt), 0) + 1 from delivery_attempt n where n.delivery_id = ${deliveryId})`;

/** What to take of the destinations that were locked. */
export interface Pick {
  /**
   * SQL of the relation `picked` (`delivery_id`, with the rows locked), made from `room`: the locked destinations with the
   * scheduled attempts that each takes (`allowance`) and has room for (`free`).
   */
  readonly sql: string;
  readonly values: readonly unknown[];
  /** Whether it makes `begun` as well, the attempts that were begun by hand. */
  readonly byHand: boolean;
}

/**
 * Takes deliveries of the destinations that the transaction has locked: lease, attempt number and attempt row, before
 * anything is sent. A delivery whose payload was deleted ends instead.
 */
export async function takeDeliveries(
  tx: Transaction,
  sealer: PayloadSealer,
  { sql, values, byHand }: Pick,
): Promise<{ claimed: ClaimedDelivery; atLimit: boolean }[]> {
  const rows = await tx.query<ClaimedRow>(
    `with ${CLOCK}, ${IN_FLIGHT_OF_APPLICATIONS}, counted as materialized (
       select h.destination_id, h.application_id, ${ALLOWANCE} as takes, ${IN_FLIGHT} as in_flight
       from ${LOCKED} join webhook_health h on h.destination_id = locked.destination_id
       join webhook_destination d on d.destination_id = h.destination_id and d.deleted_at is null
       cross join clock
     ), room as materialized (
       select counted.*, greatest(0, takes - counted.in_flight) as allowance,
         greatest(0, ${MAX_IN_FLIGHT} - counted.in_flight) as free, coalesce(busy.in_flight, 0) as app_in_flight
       from counted left join busy using (application_id)
     ), ${sql}, emptied as (
       update delivery v set state = 'stopped', last_reason = 'payload_deleted', ended_at = clock.now, lease_until = null
       from picked, clock where v.delivery_id = picked.delivery_id and not ${HAS_PAYLOAD}
     ), taken as (
       update delivery v set attempts = v.attempts + 1, lease_until = clock.now + interval '${LEASE_SECONDS} seconds'
       from picked, clock where v.delivery_id = picked.delivery_id and ${HAS_PAYLOAD} returning v.*
     ), lost as (
       -- An attempt that was sent or not, and never recorded.
       update delivery_attempt a set state = 'unknown' from taken t
       where a.delivery_id = t.delivery_id and a.state = 'started' and a.trigger <> 'manual'
     ), probing as (
       update webhook_health h set probe_until = clock.now + interval '${LEASE_SECONDS} seconds'
       from taken t, clock where h.destination_id = t.destination_id and h.circuit_open_until is not null
     ), scheduled as (
       insert into delivery_attempt
         (delivery_id, attempt, trigger, application_id, destination_id, request_url, started_at)
       select t.delivery_id, greatest(t.attempts, ${nextNumber('t.delivery_id')}), t.trigger, t.application_id, t.destination_id, d.url, clock.now
       from taken t join webhook_destination d on d.destination_id = t.destination_id cross join clock
       returning *
     ), claimed as (
       select * from scheduled${byHand ? ' union all select * from begun' : ''}
     )
     select c.delivery_id as "deliveryId", c.attempt_id as "attemptId", c.trigger, c.attempt,
       s.so_far as "scheduledSoFar", s.so_far - v.schedule_start as "scheduleAttempt", e.sequence::float8 as sequence, e.event_id as "eventId",
       e.type as "eventType", c.destination_id as "destinationId", c.application_id as "applicationId",
       e.session_id as "sessionId", floor(extract(epoch from e.created_at))::float8 as "createdAt",
       (extract(epoch from clock_timestamp()) * 1000)::float8 as "claimedAtMs", p.payload,
       c.request_url as url, d.payload_mode as "payloadMode",
       d.didit_headers_signed_with as "diditHeadersSignedWith",
       count(*) over (partition by c.destination_id) >= least(r.allowance, r.free) as "atLimit",
       array(select s.sealed from webhook_secret s where s.destination_id = c.destination_id
             and (s.expires_at is null or s.expires_at > clock.now) order by s.expires_at desc nulls first) as secrets,
       array(select m.media_id::text from session_media m
             where m.session_id = e.session_id and m.application_id = c.application_id and m.object_key is not null)
         as "mediaIds", floor(extract(epoch from clock.now))::float8 as "nowSeconds",
       case when e.dedupe_key like '%:token' then json_build_object(
         'kid', k.kid, 'claims', json_build_object(
           'session_id', k.session_id, 'session_kind', k.session_kind, 'from_application_id', k.issuer_id,
           'for_application_id', k.partner_id, 'iat', extract(epoch from k.issued_at)::bigint,
           'exp', extract(epoch from k.expires_at)::bigint, 'jti', k.token_id)) end as token
     from claimed c cross join clock
     join room r on r.destination_id = c.destination_id
     join delivery v on v.delivery_id = c.delivery_id
     left join taken t on t.delivery_id = c.delivery_id
     cross join lateral (select coalesce(t.attempts, v.attempts) as so_far) s
     join event e on e.event_id = v.event_id
     join event_payload p on p.event_id = v.event_id
     join webhook_destination d on d.destination_id = c.destination_id
     left join share_token k on e.type = 'share.received' and k.token_id = e.token_id`,
    values,
  );
  return rows.map(({ atLimit, ...row }) => ({ atLimit, claimed: opened(sealer, row) }));
}

/** What it answers, or null when it throws. */
function orNull<T>(open: () => T): T | null {
  try {
    return open();
  } catch {
    return null;
  }
}

type TakenRow = Omit<ClaimedRow, 'atLimit'>;

/** One that can't be opened holds up no other: it is taken as it is, and its attempt fails. */
function opened(sealer: PayloadSealer, row: TakenRow): ClaimedDelivery {
  const { sessionId, mediaIds, nowSeconds, payload, secrets, ...rest } = row;
  const { applicationId } = rest;
  const media = sessionId === null ? null : { applicationId, sessionId, mediaIds, nowSeconds };
  const keys = orNull(() => secrets.map((one) => openSecret(sealer, applicationId, rest.destinationId, one)));
  if (keys === null) return { ...rest, media, payload: '', secrets: [], unreadable: 'secret_unreadable' };
  const context = sealContextOfEvent({ applicationId, sessionId, eventId: rest.eventId });
  const body = orNull(() => sealer.openBytes(context, payload).toString());
  if (body === null) return { ...rest, media, payload: '', secrets: keys, unreadable: 'payload_unreadable' };
  return { ...rest, media, payload: body, secrets: keys };
}

interface ClaimedRow extends Omit<ClaimedDelivery, 'payload' | 'media' | 'secrets' | 'token' | 'unreadable'> {
  atLimit: boolean;
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
