import type { Transaction } from './tenants.ts';

/** A bucket's budget: this many calls in each window of this many seconds. */
export interface Budget {
  readonly bucket: string;
  readonly limit: number;
  readonly windowSeconds: number;
}

/** A share of the running window's budget. */
export interface Lease {
  /** Calls that the asker may let through; 0 when the window is used up. */
  readonly granted: number;
  /** Calls that nobody has leased yet. */
  readonly unleased: number;
  /** Milliseconds until the window ends. */
  readonly endsInMs: number;
  /** Unix seconds of the window's end. */
  readonly endsAt: number;
}

/**
 * Leases up to `wanted` calls out of a bucket's running window, by the database's clock. All askers of all processes
 * together are never granted more than the limit.
 */
export async function leaseCalls(tx: Transaction, budget: Budget, wanted: number): Promise<Lease> {
  const [row] = await tx.query<{ used: number | null; endsInMs: number; endsAt: number }>(
    `with clock as (select extract(epoch from handoff_now())::float8 as now),
     running as (select floor(now / $3) * $3 as starts, now from clock),
     taken as (
       insert into rate_limit_window as stored (bucket, window_start, ends_at, used)
       select $1, to_timestamp(starts), to_timestamp(starts + $3), $4 from running
       on conflict (bucket, window_start) do update set used = stored.used + excluded.used where stored.used < $2
       returning used
     )
     select (select used::float8 from taken) as used, (starts + $3 - now) * 1000 as "endsInMs", starts + $3 as "endsAt"
     from running`,
    [budget.bucket, budget.limit, budget.windowSeconds, wanted],
  );
  if (row === undefined) throw new Error('there is always a running window');
  const { used, endsInMs, endsAt } = row;
  // Without a row the window was used up before.
  const before = used === null ? budget.limit : used - wanted;
  return {
    granted: Math.min(wanted, Math.max(0, budget.limit - before)),
    unleased: Math.max(0, budget.limit - before - wanted),
    endsInMs,
    endsAt,
  };
}

/** Takes ended windows away. */
export function forgetRateLimitWindows(tx: Transaction): void {
  tx.send('delete from rate_limit_window where ends_at < handoff_now()');
}
