import type { Sealer } from '../../crypto/payload-seal.ts';
import type { Crossing, Tenants, Transaction } from '../tenants.ts';
import type { SealedColumn, SealedRow } from './sealed-columns.ts';
import { alsoUnreadable, NONE_UNREADABLE, type Unreadable, type UnreadableRow } from './unreadable.ts';

/** How far the sealing anew of a column has come, in rows. */
export interface RewrapProgress {
  readonly table: string;
  readonly column: string;
  readonly done: number;
  /** What was to be done when it began, and what was found since. */
  readonly total: number;
}

/** What came of one pass over a column. */
export interface ColumnRewrapped {
  readonly rewrapped: number;
  readonly unreadable: Unreadable;
}

/** What a walk over a column does with which of its rows. */
export interface Treatment {
  /** Rows that begin with `header` are due, or all others are. */
  readonly due: 'beginning' | 'others';
  readonly header: Buffer;
  /** The bytes to store instead. @throws when that can't be done: the row stays as it is */
  readonly treat: (row: SealedRow) => Buffer;
}

/** Where a walk goes, and in which role. */
export interface Walk {
  readonly tenants: Tenants;
  readonly crossing: Crossing;
}

/** Rows that one transaction seals: wrapped data keys are small, all else may be large. */
const BATCH = { dataKeys: 1_000, payloads: 200 };
/** Rows that it looks at, of which most may be done: they cost a look at their first bytes. */
const WINDOW = 5_000;

/** SQL of the rows that are due, a null never; `header` is a parameter. */
const isDue = (column: string, { due }: Treatment, header: string) =>
  `substring(t.${column} for octet_length(${header})) ${due === 'others' ? '<>' : '='} ${header}`;

/** Beginning of what the ring's first key seals now. */
function headerOf(sealer: Sealer, { ring, holdsDataKeys }: SealedColumn): Buffer {
  if (holdsDataKeys === true) return sealer.currentHeader('data_key');
  return sealer.currentHeader(ring === 'KEY_ENCRYPTION_KEYS' ? 'secret' : 'application');
}

/** Sealing anew, with its ring's first key, what does not begin as that seals now. */
export function sealingAnew(sealer: Sealer, column: SealedColumn): Treatment {
  return { due: 'others', header: headerOf(sealer, column), treat: (row) => sealedAnew(sealer, column, row) };
}

/** Rows of a column that are due. */
export function countDue(tx: Transaction, column: SealedColumn, treatment: Treatment): Promise<number> {
  tx.send('set local statement_timeout = 0');
  return tx
    .query<{ rows: number }>(
      `select count(*)::float8 as rows from ${column.table} t where ${isDue(column.column, treatment, '$1::bytea')}`,
      [treatment.header],
    )
    .then(([row]) => row?.rows ?? 0);
}

/**
 * Treats the rows of a column that are due, a batch in each transaction, in the order of the primary keys. Readers and writers go on: rows that somebody has locked are passed over, and are found by the next pass.
 * How far it has come is in the rows, so that it can end at any moment and begin again.
 *
 * @param onBatch told after each batch how many rows it has done
 */
export async function treatColumn(
  { tenants, crossing }: Walk,
  column: SealedColumn,
  treatment: Treatment,
  onBatch: (rows: number) => void = () => undefined,
): Promise<ColumnRewrapped> {
  let rewrapped = 0;
  let unreadable = NONE_UNREADABLE;
  for (let after: readonly string[] | null = []; after !== null;) {
    const from: readonly string[] = after;
    const until = await tenants.acrossTenants(crossing, (tx) => endOfWindow(tx, column, from));
    for (let more: readonly string[] | null = from; more !== null;) {
      const start: readonly string[] = more;
      const batch = await tenants.acrossTenants(crossing, (tx) => treatBatch(tx, column, treatment, [start, until]));
      rewrapped += batch.rewrapped;
      unreadable = alsoUnreadable(unreadable, batch.unreadable);
      if (batch.rewrapped > 0) onBatch(batch.rewrapped);
      more = batch.last;
    }
    after = until;
  }
  return { rewrapped, unreadable };
}

/** The parts of a column's SQL that go by its primary key; `after` and `until` are primary keys, and come as parameters. */
function sqlOf({ key }: SealedColumn, after: readonly string[], until: readonly string[] | null) {
  const columns = Object.keys(key).map((part) => `t.${part}`);
  const given = (first: number) =>
    `(${Object.values(key)
      .map((type, index) => `$${first + index}::${type}`)
      .join(', ')})`;
  const compared = `(${columns.join(', ')})`;
  const isAfter = after.length === 0 ? 'true' : `${compared} > ${given(1)}`;
  const isUntil = until === null ? 'true' : `${compared} <= ${given(after.length + 1)}`;
  return {
    id: `array[${columns.map((column) => `${column}::text`).join(', ')}]`,
    isWithin: `${isAfter} and ${isUntil}`,
    order: columns.join(', '),
    values: [...after, ...(until ?? [])],
  };
}

/** The primary key of the last row of a window that begins after another one; null when the table ends within. */
async function endOfWindow(
  tx: Transaction,
  column: SealedColumn,
  after: readonly string[],
): Promise<readonly string[] | null> {
  const { id, isWithin, order, values } = sqlOf(column, after, null);
  const [row] = await tx.query<{ id: string[] }>(
    `select ${id} as id from ${column.table} t where ${isWithin} order by ${order} offset ${WINDOW - 1} limit 1`,
    values,
  );
  return row?.id ?? null;
}

/** One batch of a window; `last` is how far it came, null at the window's end. */
async function treatBatch(
  tx: Transaction,
  column: SealedColumn,
  treatment: Treatment,
  [after, until]: readonly [after: readonly string[], until: readonly string[] | null],
): Promise<ColumnRewrapped & { readonly last: readonly string[] | null }> {
  const { table, column: name, join = '' } = column;
  const { id, isWithin, order, values } = sqlOf(column, after, until);
  const most = column.holdsDataKeys === true ? BATCH.dataKeys : BATCH.payloads;
  const rows = await tx.query<SealedRow & { name: string }>(
    `select ${id} as id, coalesce(${column.applicationId ?? 't.application_id'}::text, '') as "applicationId",
       ${column.subject ?? 'null'}::text as subject, t.${name} as sealed,
       ${column.named === undefined ? `array_to_string(${id}, '/')` : `${column.named}::text`} as name
     from ${table} t ${join}
     where ${isWithin} and ${isDue(name, treatment, `$${values.length + 1}::bytea`)}
     order by ${order} limit ${most} for no key update of t skip locked`,
    [...values, treatment.header],
  );
  const done: { readonly id: readonly string[]; readonly sealed: Buffer }[] = [];
  const unreadable: UnreadableRow[] = [];
  for (const row of rows) {
    try {
      done.push({ id: row.id, sealed: treatment.treat(row) });
    } catch {
      unreadable.push({ table, column: name, id: row.name });
    }
  }
  if (done.length > 0) putAnew(tx, column, done);
  return {
    rewrapped: done.length,
    unreadable: alsoUnreadable(NONE_UNREADABLE, { rows: unreadable.length, first: unreadable }),
    last: rows.length === most ? (rows.at(-1)?.id ?? null) : null,
  };
}

function putAnew(
  tx: Transaction,
  { table, column, key }: SealedColumn,
  rows: readonly { readonly id: readonly string[]; readonly sealed: Buffer }[],
): void {
  const parts = Object.entries(key);
  const lists = parts.map(([_name, type], index) => `$${index + 1}::${type}[]`);
  tx.send(
    `update ${table} t set ${column} = anew.sealed
     from unnest(${lists.join(', ')}, $${parts.length + 1}::bytea[])
       as anew(${parts.map(([name]) => name).join(', ')}, sealed)
     where ${parts.map(([name]) => `t.${name} = anew.${name}`).join(' and ')}`,
    [...parts.map((_part, index) => rows.map(({ id }) => id[index])), rows.map(({ sealed }) => sealed)],
  );
}

/** @throws when no key of the ring opens it; what is plain opens no more than what was altered */
function sealedAnew(sealer: Sealer, { holdsDataKeys, context }: SealedColumn, row: SealedRow): Buffer {
  const place = context(row);
  const { applicationId, sessionId: keyId } = place;
  const { sealed } = row;
  if (holdsDataKeys === true) return sealer.wrapFor({ keyId, wrapped: sealed }, applicationId, applicationId).wrapped;
  return sealer.sealBytes(place, sealer.openBytes(place, sealed));
}
