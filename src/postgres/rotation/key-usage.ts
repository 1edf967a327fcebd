import type { Tenants } from '../tenants.ts';
import { countKeyless } from './keyless-sessions.ts';
import { SEALED_COLUMNS, type RingName } from './sealed-columns.ts';

/** How many rows of a column one key has sealed, or wrapped the data keys of. */
export interface KeyUsage {
  readonly table: string;
  readonly column: string;
  readonly ring: RingName;
  /** `plain` from before there was encryption, `damaged` when it begins as nothing that we write. */
  readonly state: 'sealed' | 'plain' | 'damaged';
  /** Key id; null unless sealed. */
  readonly kid: string | null;
  readonly rows: number;
}

/** Looks at the beginning of every row: a key that none is under can leave its ring. */
export async function keyUsage(tenants: Tenants): Promise<KeyUsage[]> {
  const usage: KeyUsage[] = [];
  for (const { table, column, ring } of SEALED_COLUMNS) {
    const counts = await tenants.acrossTenants('keys', (tx) => {
      tx.send('set local statement_timeout = 0');
      return tx.query<{ header: Buffer; rows: number }>(
        `select ${headerIn(`t.${column}`)} as header, count(*)::float8 as rows from ${table} t
         where t.${column} is not null group by 1 order by 1`,
      );
    });
    usage.push(...counts.map(({ header, rows }) => ({ table, column, ring, ...readHeader(header), rows })));
  }
  const keyless = await tenants.acrossTenants('keys', countKeyless);
  if (keyless === 0) return usage;
  const ring = 'CONTENT_ENCRYPTION_KEYS';
  return [...usage, { table: 'session', column: 'data key', ring, state: 'plain', kid: null, rows: keyless }];
}

/** Version, length and id of the key, where there is one; the version alone otherwise. Reads no more of a large value. */
function headerIn(column: string): string {
  const byte = (at: number) => `get_byte(substring(${column} for 2), ${at})`;
  return `case when octet_length(${column}) >= 2 and ${byte(0)} in (1, 4)
    then substring(${column} for 2 + ${byte(1)}) else substring(${column} for 1) end`;
}

function readHeader(header: Buffer): Pick<KeyUsage, 'state' | 'kid'> {
  if (header.length > 2) return { state: 'sealed', kid: header.toString('latin1', 2) };
  return { state: header[0] === 0x00 ? 'plain' : 'damaged', kid: null };
}
