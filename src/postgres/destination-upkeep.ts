import type { Environment, HandoffTransaction } from '../sharing/ports.ts';
import { disabledEvent, failingEvent } from '../webhooks/destination-events.ts';
import { holdDeliveries } from './held-deliveries.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Without a success for so long, a destination is switched off. */
const PATIENCE = `interval '5 days'`;

/** Events that did not get through before anything is said or done: a quiet destination is left alone. */
const LEAST_EVENTS = 10;

/** Nor is it switched off sooner after it was told of, however late that was. */
const NOTICE = `interval '6 hours'`;

/**
 * Per cent of its time that a destination has used up, in the steps at which something happens, each after the one before:
 * a quiet one that failed days ago, and again now, is told of first.
 */
const PERCENT = `case
  when h.failing_since <= handoff_now() - ${PATIENCE} and h.told_percent >= 75 and h.told_at <= handoff_now() - ${NOTICE}
    then 100
  when h.failing_since <= handoff_now() - 0.75 * ${PATIENCE} then 75
  when h.failing_since <= handoff_now() - 0.5 * ${PATIENCE} then 50 else 0 end`;

/** What happened to a destination, for the log: ids and enums only. */
export interface DestinationNotice {
  readonly event: 'webhook.failing' | 'webhook.disabled';
  readonly applicationId: string;
  readonly destinationId: string;
  readonly percent: 50 | 75 | 100;
}

/** Destinations of which a step has not been told. */
export async function ailingDestinations(tx: Transaction): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `select h.destination_id as id from webhook_health h
     join webhook_destination d on d.destination_id = h.destination_id and d.enabled and d.deleted_at is null
     where h.failing_since is not null and h.told_percent < ${PERCENT} order by h.destination_id`,
  );
  return rows.map(({ id }) => id);
}

/**
 * Tells the owner of a destination that nothing gets through, at 50 and 75 per cent of five days without a success, or
 * switches it off and holds its deliveries: after the five days, ten events, and six hours since it was told at 75. Each
 * step once, whoever else looks at the same time.
 *
 * @returns what happened; null when nothing is due any more
 */
export async function tendDestination(
  tx: HandoffTransaction,
  sql: Transaction,
  destinationId: string,
): Promise<DestinationNotice | null> {
  // In the order in which everybody locks them; new deliveries need not wait.
  sql.send('select 1 from webhook_health where destination_id = $1 for update', [destinationId]);
  sql.send('select 1 from webhook_destination where destination_id = $1 for no key update', [destinationId]);
  const [ailing] = await sql.query<Ailing>(
    `select h.application_id as "applicationId", a.environment, d.label, ${PERCENT} as percent,
       ${isoColumn('h.failing_since')} as "failingSince", ${isoColumn(`greatest(h.failing_since + ${PATIENCE}, handoff_now() + ${NOTICE})`)} as "disabledAfter"
     from webhook_health h join application a on a.application_id = h.application_id
     join webhook_destination d on d.destination_id = h.destination_id and d.enabled and d.deleted_at is null
     where h.destination_id = $1 and h.told_percent < ${PERCENT} and (
       select count(*) from (
         select 1 from delivery_attempt t join delivery v on v.delivery_id = t.delivery_id
         -- The first failure began before it was known as one.
         where t.destination_id = $1 and t.created_at > h.failing_since - interval '1 minute'
           and t.state in ('failed', 'unknown') and v.state <> 'delivered' and v.owner in ('sender', 'run')
           -- Of no fault of ours, and not at a former URL.
           and (t.request_headers is not null or t.state = 'unknown') and t.request_url = d.url
         group by v.delivery_id
       ) undelivered) >= ${LEAST_EVENTS}`,
    [destinationId],
  );
  if (ailing === undefined) return null;
  const { applicationId, percent, failingSince, disabledAfter } = ailing;
  sql.send('update webhook_health set told_percent = $2, told_at = handoff_now() where destination_id = $1', [
    destinationId,
    percent,
  ]);
  const facts = { ...ailing, destinationId };
  if (percent !== 100) {
    tx.events.insert([failingEvent(facts, { failingSince, percent, disabledAfter })], SYSTEM);
    return { event: 'webhook.failing', applicationId, destinationId, percent };
  }
  const [disabled] = await sql.query<{ at: string }>(
    `update webhook_destination set enabled = false, disabled_reason = 'failing', disabled_at = handoff_now(),
       updated_at = handoff_now()
     where destination_id = $1 returning ${isoColumn('disabled_at')} as at`,
    [destinationId],
  );
  if (disabled === undefined) throw new Error('a destination that is locked is there');
  tx.events.insert([disabledEvent(facts, { reason: 'failing', disabledAt: disabled.at })], SYSTEM);
  await holdDeliveries(sql, destinationId);
  return { event: 'webhook.disabled', applicationId, destinationId, percent };
}

const SYSTEM = { kind: 'system', id: null } as const;

interface Ailing extends Record<string, unknown> {
  readonly applicationId: string;
  readonly environment: Environment;
  readonly label: string;
  readonly percent: 50 | 75 | 100;
  readonly failingSince: string;
  readonly disabledAfter: string;
}
