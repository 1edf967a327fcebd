import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'pg';
import { openSharedEnding } from '../test/support/ending.ts';
import { buildForProduction } from '../test/support/production-build.ts';
import { startDevTemporal, type DevTemporal } from '../src/dev/dev-temporal.ts';
import {
  createDatabase,
  dropDatabase,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../src/dev/embedded-database.ts';
import { freePort } from '../src/dev/free-port.ts';
import type { Progress } from '../src/dev/progress.ts';
import { findTemporalBinary } from '../src/dev/temporal-binaries.ts';
import { migrate } from '../src/postgres/migrate.ts';
import { processSettings } from '../test/support/process-settings.ts';
import { startOwnProcess, type OwnProcess } from '../test/support/worker-process.ts';

export { withLab } from '../test/support/ending.ts';

/** How much is measured. */
export interface LabSize {
  /** Smaller numbers: all parts together end within five minutes. */
  readonly quick: boolean;
  /** Rounds of every race. */
  readonly rounds: number;
  /** Factor of every amount; 1 but for a look at the command itself. */
  readonly scale: number;
}

/** What a part works in. Whatever it starts is undone when the part has ended, the last first. */
export interface Lab extends LabSize {
  readonly servers: Servers;
  /** The part's own folder. */
  readonly folder: string;
  readonly say: Progress;
  onEnd(undo: () => Promise<unknown>): void;
}

/** What all parts share, each started or made for the first that asks. */
export interface Servers {
  /** With the settings of a production server where safety is concerned: every commit is on the disk. */
  postgres(): Promise<EmbeddedPostgres>;
  /** Name of a migrated database, of which all others are copies. */
  template(): Promise<string>;
  /** A dev server that keeps its state in a file. */
  temporal(): Promise<DevTemporal>;
  /** Our code, as it runs in production. */
  program(): Promise<Program>;
}

/** Files that our processes are started from. */
export interface Program {
  readonly server: string;
  /** Takes its role as an argument. */
  readonly worker: string;
}

/** A migrated database of a part's own. */
export interface LabDatabase {
  readonly url: string;
  /** Of the superuser. */
  readonly pool: Pool;
}

/** How often something is done: `full`, or `quick` of a quick run, times the scale; 1 at least. */
export function amount(lab: LabSize, { full, quick }: { readonly full: number; readonly quick: number }): number {
  return Math.max(1, Math.round((lab.quick ? quick : full) * lab.scale));
}

/** The servers, and what a command knows of them. */
export interface OwnServers extends Servers {
  /** Of those that were started. */
  readonly versions: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Servers of the command's own, with their data in `folder`. */
export function ownServers(folder: string, say: Progress): OwnServers {
  const { once, onEnd, end: stop } = openSharedEnding(say);
  const versions: Record<string, string> = {};
  // Postgres runs under another account when this runs as root.
  chmodSync(folder, 0o711);
  const postgres = once(async () => {
    say('Starting Postgres');
    const server = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), durable: true });
    onEnd(() => server.stop());
    versions['postgres'] = await setForLoad(server.url('postgres'));
    return server;
  });
  const template = once(async () => {
    const server = await postgres();
    const name = 'handoff_bench_template';
    await createDatabase(server.url('postgres'), name);
    await migrate(server.url(name));
    return name;
  });
  const temporal = once(async () => {
    say('Starting a Temporal dev server');
    const binary = await findTemporalBinary('cli', { report: say });
    const files = { dataFile: join(folder, 'temporal.db'), logFile: join(folder, 'temporal.log') };
    const server = await startDevTemporal({ binary, headless: true, ...files });
    onEnd(() => server.stop());
    versions['temporal'] = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim();
    return server;
  });
  return {
    versions,
    postgres,
    template,
    temporal,
    program: once(() => {
      say('Compiling');
      return compile(folder);
    }),
    stop,
  };
}

/** Our code with its workflow bundle, in a folder of a run. */
export async function compile(folder: string): Promise<Program> {
  const code = await buildForProduction(folder);
  return { server: join(code, 'server.js'), worker: join(code, 'worker.js') };
}

/**
 * Fewer checkpoints, as any server under load is set to: one in the middle of a turn would count for that contender alone.
 *
 * @returns the server's version
 */
async function setForLoad(url: string): Promise<string> {
  const pool = new Pool({ connectionString: url, max: 1 });
  await pool.query(`alter system set max_wal_size = '8GB'`);
  await pool.query(`alter system set checkpoint_timeout = '15min'`);
  await pool.query('select pg_reload_conf()');
  const { rows } = await pool.query<{ server_version: string }>('show server_version');
  await pool.end();
  return rows[0]?.server_version ?? 'unknown';
}

/** A new, migrated database; dropped when the part has ended. */
export async function openDatabase(lab: Lab): Promise<LabDatabase> {
  const server = await lab.servers.postgres();
  const name = `handoff_bench_${randomBytes(6).toString('hex')}`;
  await createDatabase(server.url('postgres'), name, await lab.servers.template());
  lab.onEnd(() => dropDatabase(server.url('postgres'), name));
  const url = server.url(name);
  const pool = new Pool({ connectionString: url, max: 4 });
  pool.on('error', () => undefined);
  lab.onEnd(() => pool.end());
  return { url, pool };
}

/**
 * What our processes are started with: everything at its default, but that loopback is open to webhooks and no rate limit
 * is reached.
 *
 * @param more settings beside these; without `TEMPORAL_ADDRESS` in them nothing answers as Temporal
 */
export function environment(
  lab: Lab,
  database: LabDatabase,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return processSettings(lab.folder, database.url, { LOG_LEVEL: 'warn', ...more });
}

/** The real HTTP server as a process of its own, until the part has ended. */
export async function startServer(
  lab: Lab,
  env: Readonly<Record<string, string>>,
): Promise<OwnProcess & { readonly url: string }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const answers = async () => (await fetch(new URL('/healthz', url))).ok;
  const program = await lab.servers.program();
  const server = await startOwnProcess([program.server], { ...env, PORT: String(port) }, answers);
  lab.onEnd(() => server.stop());
  return { ...server, url };
}

/** A real worker as a process of its own, from its first poll until the part has ended. */
export async function startWorker(
  lab: Lab,
  role: 'onboarding' | 'webhooks',
  env: Readonly<Record<string, string>>,
): Promise<OwnProcess> {
  const port = await freePort();
  const polls = async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
  const program = await lab.servers.program();
  const worker = await startOwnProcess([program.worker, role], { ...env, HEALTH_PORT: String(port) }, polls);
  lab.onEnd(() => worker.stop());
  return worker;
}

/** Memory that a process holds, in MiB; Linux alone tells it. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
