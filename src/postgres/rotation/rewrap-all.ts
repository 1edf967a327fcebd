import { setTimeout as pause } from 'node:timers/promises';
import type { Tenants } from '../tenants.ts';
import { adoptPlainSessions, countKeyless, type AdoptionParts } from './adopt-plain.ts';
import { countStale, rewrapColumn, type RewrapProgress, type UnreadableRow } from './rewrap-columns.ts';
import { SEALED_COLUMNS } from './sealed-columns.ts';

/** What came of it. */
export interface Rewrapped {
  /** Rows that were sealed or wrapped anew, and sessions that got a data key. */
  readonly rewrapped: number;
  /** What no key opens, and stays as it is; a key that all these are under is better kept. */
  readonly unreadable: readonly UnreadableRow[];
  /** Whether nothing but that is left under another key than the first of its ring; else it has to be done again. */
  readonly complete: boolean;
}

const MAX_PASSES = 10;
/** Longer than any transaction of ours may last. */
const PATIENCE_MS = 60_000;
const POLL_MS = 200;

/**
 * Has the first key of each ring seal everything: wraps data keys anew, seals what is under a ring's other keys, and what
 * was stored before there was encryption. Safe while everything runs, by several processes, and to be repeated after it
 * was killed. Every process has to have the new key first in its ring by then.
 *
 * @throws {MediaStoreUnavailable} when files of before there was encryption can't be read or stored
 */
export async function rewrapAll(
  parts: AdoptionParts,
  onProgress: (progress: RewrapProgress) => void = () => undefined,
): Promise<Rewrapped> {
  const { tenants, sealer } = parts;
  const keys = { tenants, sealer, crossing: 'keys' } as const;
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
    const keyless = await tenants.acrossTenants('keys', countKeyless);
    const added = keyless > 0 ? told('session', 'data key', keyless) : () => undefined;
    const adoption = await adoptPlainSessions(parts, () => added(1));
    const unreadable = [...adoption.unreadable];
    let changed = adoption.adopted;
    for (const column of SEALED_COLUMNS) {
      const left = await tenants.acrossTenants('keys', (tx) => countStale(tx, sealer, column));
      const outcome = await rewrapColumn(keys, column, told(column.table, column.column, left));
      unreadable.push(...outcome.unreadable);
      changed += outcome.rewrapped;
    }
    rewrapped += changed;
    const left = await leftOver(parts);
    if (settled && changed === 0 && left <= unreadable.length) return { rewrapped, unreadable, complete: true };
    if (pass === MAX_PASSES) return { rewrapped, unreadable, complete: false };
    settled = await olderTransactionsEnded(tenants);
  }
}

/** Rows that are not under the first key of their ring, and sessions without a key. */
async function leftOver({ tenants, sealer }: AdoptionParts): Promise<number> {
  let left = await tenants.acrossTenants('keys', countKeyless);
  for (const column of SEALED_COLUMNS) {
    left += await tenants.acrossTenants('keys', (tx) => countStale(tx, sealer, column));
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
