import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { ROLES, type Grants, type Operation, type RoleListing } from '../../src/postgres/isolation/roles.ts';

/** The settings that a transaction of an operation names. */
export interface Acting {
  readonly tenant?: string;
  readonly token?: string;
}

/** Runs statements as an operation's role, in a transaction that is rolled back. */
export async function asRole<T>(
  pool: Pool,
  operation: Operation,
  { tenant = '', token = '' }: Acting,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query(`set local role handoff_${operation}`);
    await client.query(`select set_config('handoff.tenant', $1, true), set_config('handoff.token', $2, true)`, [
      tenant,
      token,
    ]);
    return await work(client);
  } finally {
    await client.query('rollback');
    client.release();
  }
}

/** One statement as an operation's role. */
export function rowsAs<Row extends QueryResultRow>(
  pool: Pool,
  operation: Operation,
  acting: Acting,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return asRole(pool, operation, acting, async (client) => (await client.query<Row>(text, [...values])).rows);
}

/** Privileges of a role on a table: command → columns; `*` for all of them, and for commands that know no columns. */
export type Privileges = ReadonlyMap<string, ReadonlySet<string>>;

/** What the listing gives an operation, with what it has as a tenant, read apart from how it is applied. */
export function listedPrivileges(operation: Operation): ReadonlyMap<string, Privileges> {
  const listing: RoleListing = ROLES[operation];
  const tables = new Map<string, Map<string, Set<string>>>();
  const add = (grants: Grants) => {
    for (const [table, privileges] of Object.entries(grants)) {
      const commands = tables.get(table) ?? new Map<string, Set<string>>();
      tables.set(table, commands);
      for (const [, command = '', columns] of privileges.matchAll(/(\w+)(?:\s*\(([^)]*)\))?(?:,|$)/g)) {
        const names = columns === undefined ? ['*'] : columns.split(',').map((name) => name.trim());
        commands.set(command, new Set([...(commands.get(command) ?? []), ...names]));
      }
    }
  };
  const bases = { tenant: ROLES.tenant.grants, onboarding: ROLES.onboarding.grants, own: {}, nothing: {} };
  if (listing.base !== undefined) add(bases[listing.base]);
  add(listing.grants);
  return tables;
}
