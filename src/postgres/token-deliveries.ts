import { Refusal } from '../domain/failures.ts';
import { answerOf } from '../sharing/share-answer.ts';
import { partiesOf, receivedEvent } from '../sharing/share-events.ts';
import type { HandoffTransaction, PayloadSealer } from '../sharing/ports.ts';
import type { AttemptRecord, TokenDeliveryLedger, TokenRound, TokenRoundResult } from '../webhooks/ports.ts';
import { claimDeliveries, recordAttempt } from './deliveries.ts';
import type { HandoffTenants } from './handoff-tenants.ts';
import type { Transaction } from './tenants.ts';

/** {@link TokenDeliveryLedger} on Postgres. */
export function tokenDeliveryLedger(tenants: HandoffTenants, sealer: PayloadSealer): TokenDeliveryLedger {
  return {
    begin: (tokenId, attempt) =>
      tenants.acrossTenants('delivery', (tx, sql) => begin(tx, sql, sealer, tokenId, attempt)),
    finish: (tokenId, round, records) =>
      tenants.acrossTenants('delivery', (tx, sql) => finish(tx, sql, tokenId, round, records)),
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
  const deliveries = await claimDeliveries(
    sql,
    sealer,
    `select d.delivery_id from delivery d join event e on e.event_id = d.event_id
     where e.dedupe_key = $1 and d.ended_at is null and (d.lease_until is null or d.lease_until < handoff_now())
     for update of d`,
    [event.dedupeKey],
  );
  return { open: true, withToken, deliveries };
}

async function finish(
  tx: HandoffTransaction,
  sql: Transaction,
  tokenId: string,
  round: { readonly withToken: boolean; readonly attempt: number },
  records: readonly AttemptRecord[],
): Promise<TokenRoundResult> {
  tx.onboardings.lock(tokenId);
  // In one order over all tokens: a record may write its destination's row.
  const inOrder = [...records].sort((a, b) => (a.destinationId < b.destinationId ? -1 : 1));
  for (const record of inOrder) recordAttempt(sql, record);
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
  return { delivered: row?.delivered ?? 0, pending: row?.pending ?? 0, failedStates: row?.failed ?? [] };
}

/** Ends what is left of a token's deliveries: nobody may send it any more. */
export function stopTokenDeliveries(tx: Transaction, tokenId: string): void {
  tx.send(
    `update delivery d set state = 'stopped', ended_at = handoff_now(), lease_until = null
     from event e
     where e.event_id = d.event_id and e.token_id = $1 and e.type = 'share.received'
       and d.owner = 'onboarding' and d.ended_at is null`,
    [tokenId],
  );
}
