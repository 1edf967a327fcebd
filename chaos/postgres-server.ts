import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase, startEmbeddedPostgres } from '../src/dev/embedded-database.ts';
import { freePort } from '../src/dev/free-port.ts';
import { migrate } from '../src/postgres/migrate.ts';
import { waitUntilGone } from '../test/support/processes.ts';
import { startKillable } from './killable.ts';
import type { PostgresServer } from './rig.ts';

const DATABASE = 'handoff';

/** Starts a Postgres that keeps what it acknowledged over a crash, with a migrated database. */
export async function startPostgresServer(folder: string): Promise<PostgresServer & { stop(): Promise<void> }> {
  const port = await freePort();
  const start = () => startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), port, durable: true });
  const { first, killable } = await startKillable(start, killWithChildren);
  await createDatabase(first.url('postgres'), DATABASE);
  const url = first.url(DATABASE);
  await migrate(url);
  return { url, ...killable };
}

async function killWithChildren(pid: number): Promise<void> {
  const all = [pid, ...childrenOf(pid)];
  for (const each of all) endAtOnce(each);
  // A new postmaster refuses the data while a process of the old one has it.
  for (const each of all) await waitUntilGone(each);
}

/** Processes that a process started itself. Other systems than Linux are not asked: there they end by themselves. */
function childrenOf(pid: number): number[] {
  if (process.platform !== 'linux') return [];
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').flatMap((child) => (child.trim() === '' ? [] : [Number(child)]));
}

function endAtOnce(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
