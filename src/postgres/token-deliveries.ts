import { Refusal } from '../domain/failures.ts';
import { answerOf } from '../sharing/share-answer.ts';
import { partiesOf, receivedEvent } from '../sharing/share-events.ts';
import type { HandoffTransaction, PayloadSealer } from '../sharing/ports.ts';
import type {
  AttemptRecord,
  DisabledDestination,
  TokenDeliveryLedger,
  TokenRound,
  TokenRoundResult,
} from '../webhooks/ports.ts';
import { CLOCK, handOver, OPENS_IN_MS } from './destination-health.ts';
import type { HandoffTenants } from './handoff-tenants.ts';
import { recordAttempts } from './record-attempt.ts';
import { CARRIES_TOKEN, FREE, takeDeliveries } from './take-deliveries.ts';
import type { Transaction } from './tenants.ts';

/**
 * {@link TokenDeliveryLedger} on Postgres.
 *
 * @param onDisabled called once for each destination that an attempt switched off, after the commit
 */
export function tokenDeliveryLedger(
  tenants: HandoffTenants,
  sealer: PayloadSealer,
  onDisabled: (destination: DisabledDestination) => void = () => {},
): TokenDeliveryLedger {
  return {
    begin: (tokenId, attempt) =>
      tenants.acrossTenants('delivery', (tx, sql) => begin(tx, sql, sealer, tokenId, attempt)),
    finish: async (tokenId, round, records) => {
      const { result, disabled } = await tenants.acrossTenants('delivery', (tx, sql) =>
        finish(tx, sql, sealer, tokenId, round, records),
      );
      disabled.forEach(onDisabled);
      return result;
    },
  };
}

async function begin(
  tx: HandoffTransaction,
  sql: Transaction,
  sealer: PayloadSealer,
  tokenId: string,
  attempt: number,
): Promise<TokenRound> {
  const share = await tx.shares.lock(tokenId);
  if (share?.onboarding == null) throw new Refusal('unknown_onboarding');
  const { token, onboarding } = share;
  const acceptance = onboarding.acceptance ?? 'acknowledge';
  const withToken = acceptance !== 'automatic';
  const { state } = answerOf(share);
  // Its import may yet be refused, and the delivery go on.
  if (withToken && state === 'acknowledged') return { open: false, over: false };
  // The notice of an automatic import holds no token and may come after it.
  if (token === null || (state !== 'open' && (withToken || state !== 'redeemed'))) {
    stopTokenDeliveries(sql, tokenId);
    return { open: false, over: true };
  }
  const event = receivedEvent(partiesOf(share), { expiresAt: token.expiresAt, acceptance, withToken });
  tx.events.insert([event], { kind: 'onboarding', id: tokenId });
  tx.onboardings.beginStep(tokenId, 'deliver', attempt);
  sql.send(
    `insert into delivery (delivery_id, event_id, destination_id, application_id, owner)
     select gen_random_uuid(), e.event_id, d.destination_id, e.application_id, 'onboarding'
     from event e join webhook_destination d on d.application_id = e.application_id
       and d.enabled and d.deleted_at is null and e.type = any (d.subscribed_events)
     where e.dedupe_key = $1
     on conflict (event_id, destination_id) do nothing`,
    [event.dedupeKey],
  );
  sql.send(LOCK_DESTINATIONS, [event.dedupeKey]);
  sql.send(STOP_DISABLED, [event.dedupeKey]);
  const [taken, [left]] = await Promise.all([
    takeDeliveries(sql, sealer, {
      sql: PICK_TOKEN,
      values: [event.dedupeKey],
      byHand: false,
    }),
    sql.query<{ opensInMs: number }>(OPENS_NEXT, [event.dedupeKey]),
  ]);
  const deliveries = taken.map(({ claimed }) => claimed);
  return { open: true, withToken, deliveries, opensInMs: left === undefined ? null : Math.max(0, left.opensInMs) };
}

const LOCK_DESTINATIONS = `with locked as materialized (
    select h.destination_id from webhook_health h where h.destination_id in (
      select v.destination_id from delivery v join event e on e.event_id = v.event_id
      where e.dedupe_key = $1 and v.ended_at is null)
    order by h.destination_id for update of h
  ) select ${handOver('locked')} from locked`;

/** Nothing of a token is held: it lives too short. */
const STOP_DISABLED = `with ${CLOCK}
  update delivery v set state = 'stopped', last_reason = 'destination_disabled', ended_at = clock.now, lease_until = null
  from clock, event e, webhook_destination d
  where e.dedupe_key = $1 and v.event_id = e.event_id and v.ended_at is null and ${FREE}
    and d.destination_id = v.destination_id and not d.enabled`;

const PICK_TOKEN = `picked as (
    select v.delivery_id from clock, room r join delivery v on v.destination_id = r.destination_id
    join event e on e.event_id = v.event_id
    where e.dedupe_key = $1 and v.ended_at is null and ${FREE} and least(r.allowance, r.free) > 0 for update of v
  )`;

/** Of the destinations that let nothing through, the one that will do so first. */
const OPENS_NEXT = `with ${CLOCK}
  select coalesce(${OPENS_IN_MS}, 0) as "opensInMs"
  from clock, event e join delivery v on v.event_id = e.event_id
  join webhook_health h on h.destination_id = v.destination_id
  where e.dedupe_key = $1 and v.ended_at is null and ${FREE} order by 1 limit 1`;

async function finish(
  tx: HandoffTransaction,
  sql: Transaction,
  sealer: PayloadSealer,
  tokenId: string,
  round: { readonly withToken: boolean; readonly attempt: number },
  records: readonly AttemptRecord[],
): Promise<{ result: TokenRoundResult; disabled: readonly DisabledDestination[] }> {
  tx.onboardings.lock(tokenId);
  const disabled = await recordAttempts(sql, sealer, records);
  const delivered = records.some(({ state }) => state === 'delivered');
  if (!round.withToken) {
    tx.onboardings.endStep(tokenId, 'deliver', delivered ? 'noticed' : 'not_noticed', round.attempt);
  } else if (delivered) {
    tx.onboardings.endStep(tokenId, 'deliver', 'delivered', round.attempt);
    tx.onboardings.beginStep(tokenId, 'wait', 1);
    tx.onboardings.advance(tokenId, 'waiting');
  }
  const [row] = await sql.query<{ delivered: number; pending: number; failed: string[] }>(
    `select count(*) filter (where d.state = 'delivered')::int as delivered,
       count(*) filter (where d.ended_at is null)::int as pending,
       coalesce(array_agg(distinct coalesce(case when d.state = 'stopped' then d.last_reason end, d.state))
         filter (where d.ended_at is not null and d.state <> 'delivered'), '{}') as failed
     from delivery d join event e on e.event_id = d.event_id
     where e.token_id = $1 and e.dedupe_key like $2`,
    [tokenId, `%:${round.withToken ? 'token' : 'notice'}`],
  );
  const result = { delivered: row?.delivered ?? 0, pending: row?.pending ?? 0, failedStates: row?.failed ?? [] };
  return { result, disabled };
}

/** Ends what is left of a token's deliveries, and what is wanted of them by hand: nobody may send it any more. */
export function stopTokenDeliveries(tx: Transaction, tokenId: string): void {
  tx.send(
    `update delivery d set state = 'stopped', last_reason = coalesce(d.last_reason, 'share_ended'),
       ended_at = handoff_now(), lease_until = null
     from event e
     where e.event_id = d.event_id and e.token_id = $1 and e.type = 'share.received'
       and d.owner = 'onboarding' and d.ended_at is null`,
    [tokenId],
  );
  tx.send(
    `update delivery_attempt a set state = 'failed', reason = 'token_ended'
     from event e join delivery v on v.event_id = e.event_id
     where e.token_id = $1 and ${CARRIES_TOKEN} and a.delivery_id = v.delivery_id and a.state = 'pending'`,
    [tokenId],
  );
}
