import { setTimeout as pause } from 'node:timers/promises';
import { createCaller } from './caller.ts';
import { serverUrls } from './fleet.ts';
import { brandsById, readRows } from './oracle-reading.ts';
import { OVERTAKEN } from './partner-acts.ts';
import type { Rig } from './rig.ts';

/** How the run came to rest. */
export interface Quiet {
  readonly quiet: boolean;
  /** What is still under way when it is not; else empty. */
  readonly left: string;
  readonly seconds: number;
}

type QuietRig = Pick<Rig, 'postgres' | 'fleet' | 'brands' | 'ledger' | 'partner' | 'quick' | 'say'>;

/**
 * A token that lives for longer, was sent at least once and has its next attempt within that time, may wait for its partner
 * while the invariants are checked; nothing happens to it.
 */
const LEFT_ALONE = `interval '5 minutes'`;

/**
 * Delivery `v` was made for onboarding `o`, which ended without it, so that nobody sends it any more: our housekeeping
 * ends it, some two minutes after.
 */
export const LEFT_TO_HOUSEKEEPING = `(v.owner = 'onboarding' and o.ended_at > handoff_now() - interval '3 minutes'
  and (v.lease_until is null or v.lease_until < handoff_now()))`;

/** What keeps the run from being at rest. Times by the database's clock. */
const UNDER_WAY = `
  select
    (select count(*)::int from outbox) as wishes,
    (select count(*)::int from delivery v join event e on e.event_id = v.event_id
     left join share_token t on t.token_id = e.token_id
     left join onboarding o on o.token_id = e.token_id
     where v.ended_at is null and v.state <> 'held' and ${LEFT_TO_HOUSEKEEPING} is not true
       and not (v.owner = 'onboarding' and o.ended_at is null and t.expires_at > handoff_now() + ${LEFT_ALONE}
                and v.lease_until is null and v.attempts > 0
                and v.next_at between handoff_now() and handoff_now() + ${LEFT_ALONE})) as deliveries,
    (select count(*)::int from onboarding o left join share_token t on t.token_id = o.token_id
     where o.ended_at is null and not (t.token_id is not null and t.expires_at > handoff_now() + ${LEFT_ALONE}
       and o.acceptance <> 'automatic' and o.status in ('delivering', 'waiting')
       and exists (select 1 from event e where e.token_id = o.token_id and e.type = 'share.received')
       and not exists (select 1 from acknowledgement a where a.token_id = o.token_id and a.state = 'unspent'))
    ) as onboardings,
    (select count(*)::int from audit_unsealed) as unsealed`;

/** How many of each are under way. */
interface UnderWay {
  readonly wishes: number;
  readonly deliveries: number;
  readonly onboardings: number;
  readonly unsealed: number;
}

/** Counts what keeps the run from being at rest. */
export async function underWay(rig: Pick<Rig, 'postgres'>): Promise<UnderWay> {
  const [row] = await readRows<UnderWay & Record<string, unknown>>(rig, UNDER_WAY);
  if (row === undefined) throw new Error('a count has a row');
  return row;
}

/**
 * Waits, once everything is healed and the load has stopped, until nothing is left to be done: no wish in the outbox, no
 * delivery to be sent, no onboarding that has to end, no event to be sealed. Two things are hurried on, both by our own
 * API as their owners would: issuers revoke what nobody has answered and would run out within minutes, and receivers ask
 * for what waits for its next attempt (`recover`). Gives up after some minutes and says what is left.
 */
export async function untilQuiet(rig: QuietRig): Promise<Quiet> {
  rig.partner.calm();
  const began = Date.now();
  const limitMs = (rig.quick ? 4 : 15) * 60_000;
  let still = 0;
  for (let round = 0; ; round += 1) {
    const row = await underWay(rig);
    const left = Object.entries(row).filter(([, count]) => Number(count) > 0);
    still = left.length === 0 ? still + 1 : 0;
    const seconds = Math.round((Date.now() - began) / 1_000);
    // A partner that takes its time may yet take a share that was left alone.
    if (still > 0) await rig.partner.settled();
    // Twice, so that what one reading, or a partner meanwhile, set off is seen by the next.
    if (still === 2) return { quiet: true, left: '', seconds };
    const told = left.map(([what, count]) => `${String(count)} ${what}`).join(', ');
    if (Date.now() - began > limitMs) return { quiet: false, left: told, seconds };
    if (round % 10 === 0 && told !== '') rig.say(`Waiting for quiet (${seconds} s): ${told}`);
    if (round % 5 === 0) await hurry(rig, row);
    await pause(1_000);
  }
}

async function hurry(rig: QuietRig, { deliveries, onboardings }: UnderWay): Promise<void> {
  const urls = () => serverUrls(rig.fleet);
  const caller = createCaller(urls, rig.ledger);
  const brands = brandsById(rig);
  if (onboardings > 0) {
    const unanswered = await readRows<{ tokenId: string; issuerId: string }>(
      rig,
      `select o.token_id as "tokenId", o.issuer_id as "issuerId" from onboarding o join share_token t using (token_id)
       where o.ended_at is null and o.acceptance <> 'automatic' and t.expires_at > handoff_now() + interval '5 seconds'
         and t.expires_at <= handoff_now() + ${LEFT_ALONE}
         and not exists (select 1 from acknowledgement a where a.token_id = o.token_id and a.state = 'unspent')`,
    );
    for (const { tokenId, issuerId } of unanswered) {
      const as = brands.get(issuerId);
      const path = `/v1/onboardings/${tokenId}/revoke/`;
      if (as === undefined) continue;
      await caller.insist({ wish: 'revoke', as, method: 'POST', path, body: {}, tokenId, explained: OVERTAKEN.word });
    }
  }
  if (deliveries > 0) {
    const waiting = await readRows<{ destinationId: string; applicationId: string; since: string }>(
      rig,
      `select v.destination_id as "destinationId", v.application_id as "applicationId",
         to_char(min(e.created_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
       from delivery v join event e on e.event_id = v.event_id join webhook_health h on h.destination_id = v.destination_id
       where v.ended_at is null and v.owner in ('sender', 'run') and v.state <> 'held' and v.lease_until is null
         and greatest(v.next_at, h.slow_until, h.circuit_open_until) > handoff_now() + interval '2 seconds'
       group by 1, 2`,
    );
    for (const { destinationId, applicationId, since } of waiting) {
      const as = brands.get(applicationId);
      const path = `/v1/webhook/destinations/${destinationId}/recover/`;
      if (as === undefined) continue;
      const explained = ['repair_in_progress', 'destination_disabled'];
      await caller.insist({ wish: 'recover', as, method: 'POST', path, body: { since }, explained });
    }
  }
}
