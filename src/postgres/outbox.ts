import { HAS_PAYLOAD, TOKEN_IS_OPEN } from './take-deliveries.ts';
import type { Transaction, Wish } from './tenants.ts';

/** Late runs that are asked for at once. */
const OVERDUE_BATCH = 200;

/** Wishes younger than this are left to the process that made them. In seconds. */
const GRACE_SECONDS = 2;

/** When a wish that is taken now is to be had again, if it is still there. */
const NEXT_TRY = 'handoff_now() + make_interval(secs => least(60, 5 * power(2, least(attempts, 4))))';

/**
 * Takes wishes that nobody carried out yet, for a while: a relay that dies leaves them to the next one. Wishes of one
 * token come in their order, so that a signal waits for its start.
 */
export function takeWishes(tx: Transaction, limit: number): Promise<Wish[]> {
  return tx.query<Wish & Record<string, unknown>>(
    `update outbox set attempts = attempts + 1,
       due_at = ${NEXT_TRY}
     where outbox_id in (
       select o.outbox_id from outbox o
       where o.due_at <= handoff_now() and o.created_at < handoff_now() - interval '${GRACE_SECONDS} seconds'
         and not exists (
           select 1 from outbox earlier
           where o.wish in ('start', 'signal') and earlier.token_id = o.token_id
             and earlier.wish in ('start', 'signal') and earlier.outbox_id < o.outbox_id)
       order by o.wish <> 'dispatch', o.due_at, o.outbox_id limit $1 for update skip locked)
     returning outbox_id as "outboxId", wish, token_id as "tokenId", subject_id as "subjectId", signal`,
    [limit],
  );
}

/** Notified when a run is wished for. */
export const RUNS_CHANNEL = 'handoff_runs';

/** The wish for a run; `run` is null when its onboarding has ended meanwhile. */
export interface WishedRun {
  readonly outboxId: string;
  readonly run: RunToStart | null;
}

/** Takes wishes for runs, young ones too, for a while: the relay has them when they are not taken away by then. */
export async function takeStarts(tx: Transaction, limit: number): Promise<WishedRun[]> {
  const rows = await tx.query<{ outboxId: string; open: boolean } & RunToStart>(
    `with taken as (
       update outbox set attempts = attempts + 1, due_at = ${NEXT_TRY}
       where outbox_id in (
         select outbox_id from outbox where wish = 'start' and due_at <= handoff_now()
         order by outbox_id limit $1 for update skip locked)
       returning outbox_id, subject_id
     )
     select t.outbox_id as "outboxId", coalesce(o.ended_at is null and o.token_id is not null, false) as open,
       o.token_id as "tokenId", o.issuer_id as "issuerId", o.partner_id as "partnerId", o.session_kind as "sessionKind"
     from taken t left join onboarding o on o.token_id = t.subject_id`,
    [limit],
  );
  return rows.map(({ outboxId, open, ...run }) => ({ outboxId, run: open ? run : null }));
}

/** Takes carried-out wishes away. */
export function forgetWishes(tx: Transaction, outboxIds: readonly string[]): void {
  tx.send('delete from outbox where outbox_id = any ($1::bigint[])', [outboxIds]);
}

/**
 * Rows of open onboardings that were not compared with Temporal for a while, a tenth of their age but ten minutes at
 * most: a run that waits for hours is asked after less often than one that just began.
 */
export async function takeOnboardingsToCheck(
  tx: Transaction,
  idleSeconds: number,
  limit: number,
): Promise<{ tokenId: string }[]> {
  return tx.query<{ tokenId: string }>(
    `update onboarding set checked_at = handoff_now()
     where token_id in (
       select token_id from onboarding
       where ended_at is null and checked_at < handoff_now() - make_interval(secs => $1)
         and checked_at < handoff_now() - least(interval '10 minutes', (handoff_now() - created_at) / 10)
       order by checked_at limit $2 for update skip locked)
     returning token_id as "tokenId"`,
    [idleSeconds, limit],
  );
}

/**
 * Asks again for the retries of deliveries whose `WebhookDelivery` run seems to be gone, the longest unasked for first, so
 * that each has its turn however many are late. Those that wait for a destination out of order are left to it, as long as
 * somebody asks: a circuit that nobody tried for long has lost its runs.
 */
export function wishOverdueDeliveries(tx: Transaction): void {
  tx.send(
    `with overdue as (
       update delivery set checked_at = handoff_now()
       where delivery_id in (
         select v.delivery_id from delivery v
         join webhook_health h on h.destination_id = v.destination_id
           and coalesce(h.slow_until, '-infinity') < handoff_now()
           and coalesce(h.circuit_open_until, '-infinity') < handoff_now() - interval '15 minutes'
         where v.owner = 'run' and v.ended_at is null
           and greatest(v.next_at, v.checked_at) < (select handoff_now() - interval '5 minutes')
           and not exists (select 1 from outbox o where o.wish = 'retry_delivery' and o.subject_id = v.delivery_id)
         order by greatest(v.next_at, v.checked_at) limit ${OVERDUE_BATCH} for update of v skip locked)
       returning delivery_id
     )
     insert into outbox (wish, subject_id) select 'retry_delivery', delivery_id from overdue`,
  );
}

/** The acknowledgement that a run which Temporal lost has to be told of again. */
export async function unspentAcknowledgement(tx: Transaction, tokenId: string): Promise<string | null> {
  const [row] = await tx.query<{ id: string }>(
    `select acknowledgement_id as id from acknowledgement where token_id = $1 and state = 'unspent'`,
    [tokenId],
  );
  return row?.id ?? null;
}

/** What a run is started with. */
export interface RunToStart {
  readonly tokenId: string;
  readonly issuerId: string;
  readonly partnerId: string;
  readonly sessionKind: 'user' | 'business';
}

/** What a run is started with, when its onboarding is still open. */
export async function runToStart(tx: Transaction, tokenId: string): Promise<RunToStart | null> {
  const [row] = await tx.query<RunToStart & Record<string, unknown>>(
    `select token_id as "tokenId", issuer_id as "issuerId", partner_id as "partnerId", session_kind as "sessionKind"
     from onboarding where token_id = $1 and ended_at is null`,
    [tokenId],
  );
  return row ?? null;
}

/** What a delivery's retries are started with. */
export interface DeliveryToRetry {
  readonly deliveryId: string;
  readonly eventId: string;
  readonly destinationId: string;
  /** The receiving application. */
  readonly applicationId: string;
  /** Milliseconds. */
  readonly delayMs: number;
}

/** What a delivery's retries are started with, when a run has to make them. */
export async function deliveryToRetry(tx: Transaction, deliveryId: string): Promise<DeliveryToRetry | null> {
  const [row] = await tx.query<DeliveryToRetry & Record<string, unknown>>(
    `select delivery_id as "deliveryId", event_id as "eventId", destination_id as "destinationId",
       application_id as "applicationId",
       greatest(0, ceil(extract(epoch from next_at - handoff_now()) * 1000))::float8 as "delayMs"
     from delivery where delivery_id = $1 and owner = 'run' and ended_at is null`,
    [deliveryId],
  );
  return row ?? null;
}

/**
 * Settles what a killed sender left: an attempt that nobody will record is `unknown`, and a token's or notice's delivery
 * whose onboarding has ended is over, as is a test send. One by hand that can't be sent any more has failed.
 */
export function settleLostAttempts(tx: Transaction): void {
  tx.send(
    `update delivery d set state = 'stopped', last_reason = coalesce(d.last_reason, 'share_ended'),
       ended_at = handoff_now(), lease_until = null
     from event e join onboarding o on o.token_id = e.token_id
     where e.event_id = d.event_id and d.owner = 'onboarding' and d.ended_at is null and o.ended_at is not null
       and coalesce(d.lease_until, d.created_at) < handoff_now() - interval '1 minute'`,
  );
  tx.send(
    `update delivery d set state = 'exhausted', last_reason = 'unknown', ended_at = handoff_now()
     from delivery_attempt a
     where a.delivery_id = d.delivery_id and a.state = 'started' and a.started_at < handoff_now() - interval '2 minutes'
       and d.owner = 'hand' and d.ended_at is null`,
  );
  tx.send(
    `with ended as (
       update delivery_attempt a set state = 'failed', reason = unsendable.reason
       from (
         select a.attempt_id, case when w.deleted_at is not null then 'destination_deleted'
           when not ${HAS_PAYLOAD} then 'payload_deleted' else 'token_ended' end as reason
         from delivery_attempt a join delivery v on v.delivery_id = a.delivery_id
         join webhook_destination w on w.destination_id = a.destination_id join event e on e.event_id = v.event_id
         where a.state = 'pending' and (w.deleted_at is not null or not ${HAS_PAYLOAD} or not ${TOKEN_IS_OPEN})
         for update of v
       ) unsendable
       where a.attempt_id = unsendable.attempt_id and a.state = 'pending' returning a.delivery_id, a.reason
     )
     update delivery d set state = 'stopped', last_reason = ended.reason, ended_at = handoff_now() from ended
     where d.delivery_id = ended.delivery_id and d.owner = 'hand' and d.ended_at is null`,
  );
  tx.send(
    `update delivery_attempt a set state = 'unknown' from delivery d
     where d.delivery_id = a.delivery_id and a.state = 'started' and a.started_at < handoff_now() - interval '2 minutes'
       and (d.lease_until is null or d.lease_until < handoff_now())`,
  );
}

/** Ends idempotency keys after their 24 hours. */
export function forgetIdempotencyKeys(tx: Transaction): void {
  tx.send(`delete from idempotency_key where created_at < handoff_now() - interval '24 hours'`);
}
