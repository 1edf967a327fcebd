import { setTimeout as pause } from 'node:timers/promises';
import type { Sealer } from '../../crypto/payload-seal.ts';
import type { Tenants } from '../tenants.ts';
import { countKeyless, keylessSessions } from './keyless-sessions.ts';
import { countDue, sealingAnew, treatColumn, type RewrapProgress } from './rewrap-columns.ts';
import { SEALED_COLUMNS } from './sealed-columns.ts';
import { alsoUnreadable, type Unreadable } from './unreadable.ts';

/** What came of it. */
export interface Rewrapped {
  /** Rows that were sealed or wrapped anew. */
  readonly rewrapped: number;
  /**
   * What no key opens, and stays as it is: also what is not sealed, and sessions without a data key. A key that all these
   * are under is better kept.
   */
  readonly unreadable: Unreadable;
  /** Whether nothing but that is left under another key than the first of its ring; else it has to be done again. */
  readonly complete: boolean;
}

const MAX_PASSES = 10;
/** Longer than any transaction of ours may last. */
const PATIENCE_MS = 60_000;
const POLL_MS = 200;

/**
 * Has the first key of each ring seal everything: wraps data keys anew, and seals what is under a ring's other keys. What
 * is not sealed stays so, and unread: whoever can write rows would only have to wait for this, else. Safe while everything
 * runs, by several processes, and to be repeated after it was killed. Every process has to have the new key first in its
 * ring by then.
 */
export async function rewrapAll(
  { tenants, sealer }: { readonly tenants: Tenants; readonly sealer: Sealer },
  onProgress: (progress: RewrapProgress) => void = () => undefined,
): Promise<Rewrapped> {
  const keys = { tenants, crossing: 'keys' } as const;
  const tally = new Map<string, RewrapProgress>();
  const told = (table: string, column: string, left: number) => {
    const name = `${table}.${column}`;
    const total = (tally.get(name)?.done ?? 0) + left;
    const add = (rows: number) => {
      const done = (tally.get(name)?.done ?? 0) + rows;
      const progress = { table, column, done, total: Math.max(total, done) };
      tally.set(name, progress);
      onProgress(progress);
    };
    add(0);
    return add;
  };

  let rewrapped = 0;
  let settled = false;
  for (let pass = 1; ; pass += 1) {
    let unreadable = await tenants.acrossTenants('keys', keylessSessions);
    let changed = 0;
    for (const column of SEALED_COLUMNS) {
      const treatment = sealingAnew(sealer, column);
      const left = await tenants.acrossTenants('keys', (tx) => countDue(tx, column, treatment));
      const outcome = await treatColumn(keys, column, treatment, told(column.table, column.column, left));
      unreadable = alsoUnreadable(unreadable, outcome.unreadable);
      changed += outcome.rewrapped;
    }
    rewrapped += changed;
    const left = await leftOver(tenants, sealer);
    if (settled && changed === 0 && left <= unreadable.rows) return { rewrapped, unreadable, complete: true };
    if (pass === MAX_PASSES) return { rewrapped, unreadable, complete: false };
    settled = await olderTransactionsEnded(tenants);
  }
}

/** Rows that are not under the first key of their ring, and sessions without a key. */
async function leftOver(tenants: Tenants, sealer: Sealer): Promise<number> {
  let left = await tenants.acrossTenants('keys', countKeyless);
  for (const column of SEALED_COLUMNS) {
    left += await tenants.acrossTenants('keys', (tx) => countDue(tx, column, sealingAnew(sealer, column)));
  }
  return left;
}

/** Waits until whatever was writing before has ended: rows of it could not be seen, nor locked ones be changed. */
async function olderTransactionsEnded(tenants: Tenants): Promise<boolean> {
  const [mark] = await tenants.acrossTenants('keys', (tx) =>
    tx.query<{ xid: string }>('select pg_current_xact_id()::text as xid'),
  );
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await pause(POLL_MS)) {
    const [now] = await tenants.acrossTenants('keys', (tx) =>
      tx.query<{ ended: boolean }>('select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 as ended', [mark?.xid]),
    );
    if (now?.ended === true) return true;
  }
  return false;
}
