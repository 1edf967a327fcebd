import { execFile } from 'node:child_process';
import { chownSync, existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { createDatabase, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { findTemporalBinary } from '../../src/dev/temporal-binaries.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import type { Lab } from '../../torture/lab.ts';

const run = promisify(execFile);
const DATABASE = 'handoff';

/** A server whose state can be kept, and put back over what came after. It has the same address afterwards. */
export interface Restorable {
  /** Connection URL of a superuser, or `host:port`. */
  readonly address: string;
  keep(): Promise<void>;
  /** @throws Error when nothing was kept */
  putBack(): Promise<void>;
}

/** A Postgres with a migrated database; it is kept while it works, as a base backup with the log of that time. */
export async function restorablePostgres(lab: Lab): Promise<Restorable> {
  const [data, kept, port] = [join(lab.folder, 'postgres'), join(lab.folder, 'postgres-kept'), await freePort()];
  const start = () => startEmbeddedPostgres({ dataFolder: data, port, durable: true });
  let server: EmbeddedPostgres = await start();
  lab.onEnd(() => server.stop());
  await createDatabase(server.url('postgres'), DATABASE);
  await migrate(server.url(DATABASE));
  return {
    address: server.url(DATABASE),
    keep: () => baseBackup(server.url('postgres'), data, kept),
    putBack: async () => {
      mustBeThere(kept);
      await server.stop();
      rmSync(data, { recursive: true });
      renameSync(kept, data);
      server = await start();
    },
  };
}

/** A Temporal dev server with its state in a file, which is copied while it is stopped. */
export async function restorableTemporal(lab: Lab): Promise<Restorable> {
  const [binary, port] = [await findTemporalBinary('cli', { report: lab.say }), await freePort()];
  const [dataFile, kept] = [join(lab.folder, 'temporal.db'), join(lab.folder, 'temporal-kept.db')];
  const start = () =>
    startDevTemporal({ binary, port, headless: true, dataFile, logFile: join(lab.folder, 'temporal.log') });
  let server: DevTemporal = await start();
  lab.onEnd(() => server.stop());
  // With what SQLite has not written into the file itself yet.
  const copy = async (from: string, to: string) => {
    for (const more of ['', '-wal', '-shm']) {
      rmSync(`${to}${more}`, { force: true });
      if (existsSync(`${from}${more}`)) await run('cp', ['-p', `${from}${more}`, `${to}${more}`]);
    }
  };
  const whileStopped = async (work: () => Promise<void>) => {
    await server.stop();
    await work();
    server = await start();
  };
  return {
    address: server.address,
    keep: () => whileStopped(() => copy(dataFile, kept)),
    putBack: () => {
      mustBeThere(kept);
      return whileStopped(() => copy(kept, dataFile));
    },
  };
}

function mustBeThere(kept: string): void {
  if (!existsSync(kept)) throw new Error(`${kept} was never made`);
}

/** What `pg_basebackup` does, which the binaries of the package lack. Files belong to whom they belonged. */
async function baseBackup(url: string, data: string, kept: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`select pg_backup_start('chaos', true)`);
    await copyFolder(data, kept);
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)');
    const label = join(kept, 'backup_label');
    writeFileSync(label, rows[0]?.labelfile ?? '');
    const { uid, gid } = statSync(data);
    chownSync(label, uid, gid);
    rmSync(join(kept, 'postmaster.pid'));
    // What was written meanwhile, without which the copy is of no single moment.
    await copyFolder(`${data}/pg_wal/.`, join(kept, 'pg_wal'));
  } finally {
    await client.end();
  }
}

/** Files may go away meanwhile: the log says what became of them. */
async function copyFolder(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to]).catch((error: unknown) => {
    const lines = (error as { stderr?: string }).stderr?.trim().split('\n') ?? [];
    if (lines.length === 0 || !lines.every((line) => line.includes('No such file'))) throw error;
  });
}
