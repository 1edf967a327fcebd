import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import type { Pool } from 'pg';

const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url));
const TABLE = 'schema_migration';

/** Names of the migrations that this build brings, oldest first. */
export const MIGRATIONS: readonly string[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.sql'))
  .map((file) => file.replace(/\.sql$/, ''))
  .sort();

/**
 * Brings a database to this build's schema. Safe to run from several processes at once (advisory lock).
 *
 * @param databaseUrl postgres:// URL of a role that may create tables
 * @returns names of the migrations that were applied now
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const applied = await runner({
    databaseUrl,
    dir: FOLDER,
    migrationsTable: TABLE,
    direction: 'up',
    count: Infinity,
    singleTransaction: true,
    advisoryLockMode: 'wait',
    log: () => {},
  });
  return applied.map((migration) => migration.name);
}

/** Names of the migrations that the database still lacks; all of them when it was never migrated. */
export async function pendingMigrations(pool: Pool): Promise<string[]> {
  const exists = await pool.query<{ found: boolean }>('select to_regclass($1) is not null as found', [TABLE]);
  if (exists.rows[0]?.found !== true) return [...MIGRATIONS];
  const applied = await pool.query<{ name: string }>(`select name from ${TABLE}`);
  const names = new Set(applied.rows.map((row) => row.name));
  return MIGRATIONS.filter((name) => !names.has(name));
}

if (import.meta.main) {
  const { readDatabaseConfig } = await import('../config.ts');
  const { stopWithProblems } = await import('../stop-with-problems.ts');
  const config = readDatabaseConfig(process.env);
  const unreachable = (error: unknown) =>
    stopWithProblems([`cannot migrate the database in DATABASE_URL: ${(error as Error).message}`]);
  const applied =
    'problems' in config ? stopWithProblems(config.problems) : await migrate(config.databaseUrl).catch(unreachable);
  process.stdout.write(applied.length === 0 ? 'Schema is current.\n' : `Applied ${applied.join(', ')}.\n`);
}
