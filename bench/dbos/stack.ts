import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { startChild } from '../../src/dev/child-process.ts';
import { createDatabase, dropDatabase } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { environment, openDatabase, type Lab, type LabDatabase } from '../lab.ts';
import { meetBrands, type OnboardingBrands } from '../onboarding/stack.ts';
import { until } from '../until.ts';

/** The same onboarding on DBOS. */
export interface DbosStack extends OnboardingBrands {
  readonly database: LabDatabase;
  /** Their ids. */
  readonly processes: Readonly<Record<'server' | 'sender', number>>;
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/**
 * Starts it on a database of its own, with the system database of DBOS beside it on the same server: one process for the
 * HTTP API and the workflows, one that sends and seals.
 */
export async function startDbosStack(lab: Lab): Promise<DbosStack> {
  const database = await openDatabase(lab);
  const postgres = await lab.servers.postgres();
  const systemName = `${new URL(database.url).pathname.slice(1)}_dbos`;
  await createDatabase(postgres.url('postgres'), systemName);
  lab.onEnd(() => dropDatabase(postgres.url('postgres'), systemName));
  const system = new Pool({ connectionString: postgres.url(systemName), max: 10 });
  system.on('error', () => undefined);
  lab.onEnd(() => system.end());

  const [port, healthPort] = [await freePort(), await freePort()];
  const env = environment(lab, database, {
    PORT: String(port),
    HEALTH_PORT: String(healthPort),
    DBOS_SYSTEM_DATABASE_URL: postgres.url(systemName),
  });
  const start = async (file: string, answering: string) => {
    const child = await startChild({
      name: `The process ${file} on DBOS`,
      command: process.execPath,
      args: [here(file)],
      logFile: join(lab.folder, `dbos-${file}.log`),
      env,
      ready: async () => (await fetch(answering)).ok,
    });
    lab.onEnd(() => child.stop());
    return child.pid;
  };
  const [server, sender] = await Promise.all([
    start('server.ts', `http://127.0.0.1:${port}/healthz`),
    start('sender.ts', `http://127.0.0.1:${healthPort}/healthz`),
  ]);

  /** Asks until all have ended, which they mostly have once both sides were told. */
  const ended = (tokenIds: readonly string[]) =>
    until('the end of workflows on DBOS', async () => {
      const { rows } = await system.query<{ id: string; status: string }>(
        'select workflow_uuid as id, status from dbos.workflow_status where workflow_uuid = any ($1)',
        [tokenIds],
      );
      const other = rows.find(({ status }) => status !== 'SUCCESS' && status !== 'PENDING');
      if (other !== undefined) throw new Error(`the workflow of ${other.id} is ${other.status}`);
      return rows.filter(({ status }) => status === 'SUCCESS').length === tokenIds.length;
    });
  const brands = await meetBrands(lab, database, `http://127.0.0.1:${port}`, ended);
  return { ...brands, database, processes: { server, sender } };
}
