import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';

/** What the log, the delivery and the destination say after first attempts. */
export interface Outcome {
  readonly state: string;
  /** Of the attempt. */
  readonly reason: string;
  readonly status: number | null;
  readonly durationMs: number;
  readonly truncated: boolean | null;
  readonly hint: string | null;
  readonly locationHost: string | null;
  /** Length of what was kept of the reply's body. */
  readonly keptBytes: number;
  /** Seconds from the attempt's end to the next. */
  readonly delaySeconds: number;
  /** Seconds from the attempt's end for which nothing goes to the destination. */
  readonly slowSeconds: number | null;
  readonly enabled: boolean;
  readonly disabledReason: string | null;
}

const OUTCOMES = `select a.destination_id as "destinationId", v.state, a.reason, a.response_status as status,
    a.duration_ms as "durationMs", a.body_truncated as truncated, a.hint, a.location_host as "locationHost",
    coalesce(octet_length(a.response_head), 0) as "keptBytes", d.enabled, d.disabled_reason as "disabledReason",
    (extract(epoch from v.next_at - a.started_at) - a.duration_ms / 1000.0)::float8 as "delaySeconds",
    (extract(epoch from h.slow_until - a.started_at) - a.duration_ms / 1000.0)::float8 as "slowSeconds"
  from delivery_attempt a
  join delivery v on v.delivery_id = a.delivery_id
  join webhook_destination d on d.destination_id = a.destination_id
  left join webhook_health h on h.destination_id = a.destination_id
  where a.destination_id = any ($1) and a.attempt = 1 and a.trigger = 'auto' and a.state in ('delivered', 'failed')`;

/**
 * Waits until each destination has `copies` first attempts recorded; by destination id.
 *
 * @throws Error after `patienceMs` milliseconds, with how many were there
 */
export async function firstAttempts(
  pool: Pool,
  destinationIds: readonly string[],
  patienceMs: number,
  copies = 1,
): Promise<ReadonlyMap<string, readonly Outcome[]>> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const { rows } = await pool.query<Outcome & { destinationId: string }>(OUTCOMES, [destinationIds]);
    const found = Map.groupBy(rows, ({ destinationId }) => destinationId);
    if (destinationIds.every((id) => (found.get(id)?.length ?? 0) >= copies)) return found;
    if (Date.now() > until) {
      throw new Error(`${rows.length} of ${destinationIds.length * copies} attempts ended in ${patienceMs / 1000} s`);
    }
    await pause(100);
  }
}
