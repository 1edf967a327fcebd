import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { startChild } from '../../src/dev/child-process.ts';
import { createDatabase, dropDatabase } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { environment, openDatabase, type Lab, type LabDatabase } from '../lab.ts';
import { meetBrands, type OnboardingBrands } from '../onboarding/stack.ts';

/** The same onboarding on DBOS. */
export interface DbosStack extends OnboardingBrands {
  readonly database: LabDatabase;
  readonly pids: readonly number[];
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
  const pids = [
    await start('server.ts', `http://127.0.0.1:${port}/healthz`),
    await start('sender.ts', `http://127.0.0.1:${healthPort}/healthz`),
  ];

  /** Asks until the workflow has ended, which it mostly has when both sides were told. */
  const completed = async (tokenId: string) => {
    for (;;) {
      const { rows } = await system.query<{ status: string }>(
        'select status from dbos.workflow_status where workflow_uuid = $1',
        [tokenId],
      );
      const status = rows[0]?.status;
      if (status === 'SUCCESS') return;
      if (status !== 'PENDING') throw new Error(`the workflow of ${tokenId} is ${String(status)}`);
      await pause(5);
    }
  };
  return { ...(await meetBrands(lab, database, `http://127.0.0.1:${port}`, completed)), database, pids };
}
