import type { Sealer } from '../../crypto/payload-seal.ts';
import type { Crossing, Tenants, Transaction } from '../tenants.ts';
import type { SealedColumn, SealedRow } from './sealed-columns.ts';

/** How far the sealing anew of a column has come, in rows. */
export interface RewrapProgress {
  readonly table: string;
  readonly column: string;
  readonly done: number;
  /** What was to be done when it began, and what was found since. */
  readonly total: number;
}

/** What no key of the ring opens; it stays as it is. */
export interface UnreadableRow {
  readonly table: string;
  readonly column: string;
  /** Its primary key, or what people know it by. */
  readonly id: string;
}

/** What came of one pass over a column. */
export interface ColumnRewrapped {
  readonly rewrapped: number;
  readonly unreadable: readonly UnreadableRow[];
}

/** Rows that one transaction seals. */
const BATCH = 100;
/** Rows that it looks at, of which most may be done: they cost a look at their first bytes. */
const WINDOW = 5_000;

/** First byte of what was stored before there was encryption. */
const PLAIN = 0x00;

/** What of a column has to be done: everything that does not begin as what the ring's first key seals now. */
const STALE = (column: string, header: string) =>
  `t.${column} is not null and substring(t.${column} for octet_length(${header})) <> ${header}`;

/** Beginning of what the ring's first key seals now. */
function headerOf(sealer: Sealer, { ring, holdsDataKeys }: SealedColumn): Buffer {
  if (holdsDataKeys === true) return sealer.currentHeader('data_key');
  return sealer.currentHeader(ring === 'KEY_ENCRYPTION_KEYS' ? 'secret' : 'application');
}

/** Rows of a column that are not sealed with the ring's first key. */
export function countStale(tx: Transaction, sealer: Sealer, column: SealedColumn): Promise<number> {
  tx.send('set local statement_timeout = 0');
  return tx
    .query<{ rows: number }>(
      `select count(*)::float8 as rows from ${column.table} t where ${STALE(column.column, '$1::bytea')}`,
      [headerOf(sealer, column)],
    )
    .then(([row]) => row?.rows ?? 0);
}

/**
 * Seals what is not sealed with its ring's first key anew with it, a batch in each transaction, in the order of the
 * primary keys. Readers and writers go on: rows that somebody has locked are passed over, and are found by the next pass.
 * How far it has come is in the rows, so that it can end at any moment and begin again.
 *
 * @param onBatch told after each batch how many rows it has done
 */
export async function rewrapColumn(
  { tenants, sealer, crossing }: { readonly tenants: Tenants; readonly sealer: Sealer; readonly crossing: Crossing },
  column: SealedColumn,
  onBatch: (rows: number) => void = () => undefined,
): Promise<ColumnRewrapped> {
  let rewrapped = 0;
  const unreadable: UnreadableRow[] = [];
  for (let after: readonly string[] | null | undefined; after !== null;) {
    const from: readonly string[] | undefined = after;
    const batch = await tenants.acrossTenants(crossing, (tx) => rewrapBatch(tx, sealer, column, from));
    rewrapped += batch.rewrapped;
    unreadable.push(...batch.unreadable);
    if (batch.rewrapped > 0) onBatch(batch.rewrapped);
    after = batch.last;
  }
  return { rewrapped, unreadable };
}

/** One batch of those after a primary key; `last` is how far it came, null at the end. */
async function rewrapBatch(
  tx: Transaction,
  sealer: Sealer,
  column: SealedColumn,
  after: readonly string[] | undefined,
): Promise<ColumnRewrapped & { readonly last: readonly string[] | null }> {
  const { table, column: name, key, join = '' } = column;
  const keys = Object.keys(key).map((part) => `t.${part}`);
  const parameters = (first: number) => Object.values(key).map((type, index) => `$${first + index}::${type}`);
  const id = `array[${keys.map((part) => `${part}::text`).join(', ')}]`;
  const tuple = (parts: readonly string[]) => `(${parts.join(', ')})`;
  const isAfter = after === undefined ? 'true' : `${tuple(keys)} > ${tuple(parameters(1))}`;
  const order = keys.join(', ');
  const [window] = await tx.query<{ id: string[] }>(
    `select ${id} as id from ${table} t where ${isAfter} order by ${order} offset ${WINDOW - 1} limit 1`,
    after,
  );
  const known = [...(after ?? []), ...(window?.id ?? [])];
  const isWithin = window === undefined ? 'true' : `${tuple(keys)} <= ${tuple(parameters(1 + (after?.length ?? 0)))}`;
  const rows = await tx.query<SealedRow & { name: string }>(
    `select ${id} as id, coalesce(${column.applicationId ?? 't.application_id'}::text, '') as "applicationId",
       ${column.subject ?? 'null'}::text as subject, t.${name} as sealed,
       ${column.named === undefined ? `array_to_string(${id}, '/')` : `${column.named}::text`} as name
     from ${table} t ${join}
     where ${isAfter} and ${isWithin} and ${STALE(name, `$${known.length + 1}::bytea`)}
     order by ${order} limit ${BATCH} for no key update of t skip locked`,
    [...known, headerOf(sealer, column)],
  );
  const done: { readonly id: readonly string[]; readonly sealed: Buffer }[] = [];
  const unreadable: UnreadableRow[] = [];
  for (const row of rows) {
    try {
      done.push({ id: row.id, sealed: sealedAnew(sealer, column, row) });
    } catch {
      unreadable.push({ table, column: name, id: row.name });
    }
  }
  if (done.length > 0) {
    const parts = Object.keys(key);
    tx.send(
      `update ${table} t set ${name} = anew.sealed
       from unnest(${Object.values(key)
         .map((type, index) => `$${index + 1}::${type}[]`)
         .join(', ')}, $${parts.length + 1}::bytea[])
         as anew(${parts.join(', ')}, sealed)
       where ${parts.map((part) => `t.${part} = anew.${part}`).join(' and ')}`,
      [...parts.map((_part, index) => done.map((row) => row.id[index])), done.map(({ sealed }) => sealed)],
    );
  }
  const last = rows.length === BATCH ? (rows.at(-1)?.id ?? null) : (window?.id ?? null);
  return { rewrapped: done.length, unreadable, last };
}

/** @throws when no key of the ring opens it */
function sealedAnew(sealer: Sealer, { holdsDataKeys, context }: SealedColumn, row: SealedRow): Buffer {
  const place = context(row);
  const { applicationId, sessionId: keyId } = place;
  const { sealed } = row;
  if (holdsDataKeys === true) return sealer.wrapFor({ keyId, wrapped: sealed }, applicationId, applicationId).wrapped;
  return sealer.sealBytes(place, sealed[0] === PLAIN ? sealed.subarray(1) : sealer.openBytes(place, sealed));
}
