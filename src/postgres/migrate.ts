import '../node-version.ts';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { applyIsolation } from './isolation/apply.ts';
import type { Tenants } from './tenants.ts';

const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url));
const TABLE = 'schema_migration';

/** Names of the migrations that this build brings, oldest first. */
export const MIGRATIONS: readonly string[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.sql'))
  .map((file) => file.replace(/\.sql$/, ''))
  .sort();

/**
 * Brings a database to this build's schema, and roles, grants and policies to this build's listing. Safe to run from
 * several processes at once (advisory lock).
 *
 * @param databaseUrl postgres:// URL of a role that may create tables, and roles unless they are there
 * @returns names of the migrations that were applied now
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const applied = await runner({
    // Under forced row-level security a migration would change no row, in silence: so it is refused, and has to lift that.
    databaseUrl: { connectionString: databaseUrl, options: '-c row_security=off' },
    dir: FOLDER,
    migrationsTable: TABLE,
    direction: 'up',
    count: Infinity,
    singleTransaction: true,
    advisoryLockMode: 'wait',
    log: () => {},
  });
  await applyIsolation(databaseUrl);
  return applied.map((migration) => migration.name);
}

/** Postgres's code for a role that is not there. */
const NO_SUCH_ROLE = '22023';

/** Resolves when the database answers, migrated or not. */
export async function databaseAnswers(tenants: Tenants): Promise<void> {
  await unlessUnprepared(tenants.acrossTenants('health', (tx) => tx.query('select 1')));
}

/** Names of the migrations that the database still lacks; all of them when it was never migrated. */
export async function pendingMigrations(tenants: Tenants): Promise<string[]> {
  const applied = await unlessUnprepared(
    tenants.acrossTenants('health', async (tx) => {
      const [table] = await tx.query<{ found: boolean }>('select to_regclass($1) is not null as found', [TABLE]);
      return table?.found === true ? tx.query<{ name: string }>(`select name from ${TABLE}`) : [];
    }),
  );
  const names = new Set(applied.map((row) => row.name));
  return MIGRATIONS.filter((name) => !names.has(name));
}

/** Without the roles, which a migration makes, there is nothing to be found. */
function unlessUnprepared<T>(rows: Promise<T[]>): Promise<T[]> {
  return rows.catch((error: unknown) => {
    if ((error as { code?: unknown }).code === NO_SUCH_ROLE) return [];
    throw error;
  });
}

if (import.meta.main) {
  const { readDatabaseConfig } = await import('../config.ts');
  const { withSecrets } = await import('../crypto/key-provider.ts');
  const { stopWithProblems } = await import('../stop-with-problems.ts');
  const given = await withSecrets(process.env);
  const config = 'problems' in given ? given : readDatabaseConfig(given.env);
  const unreachable = (error: unknown) =>
    stopWithProblems([`cannot migrate the database in DATABASE_URL: ${(error as Error).message}`]);
  const applied =
    'problems' in config ? stopWithProblems(config.problems) : await migrate(config.databaseUrl).catch(unreachable);
  process.stdout.write(applied.length === 0 ? 'Schema is current.\n' : `Applied ${applied.join(', ')}.\n`);
}
