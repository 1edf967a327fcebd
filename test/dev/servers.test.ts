import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Connection } from '@temporalio/client';
import { Client, Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { createDatabase, dropDatabase, startEmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { SEARCH_ATTRIBUTES } from '../../src/domain/temporal-names.ts';
import { connects, listeningSockets, outsideAddress } from '../support/listening.ts';
import { isRunning } from '../support/processes.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'handoff-servers-'));
  // For Postgres' account, when the tests run as root.
  await chmod(folder, 0o711);
});
afterAll(() => rm(folder, { recursive: true }));

/** Processes that have the folder on their command line. */
function processesOn(path: string): string[] {
  return execFileSync('ps', ['-eo', 'pid=,args='])
    .toString()
    .split('\n')
    .filter((line) => line.includes(path));
}

async function databasesNamedKept(url: string): Promise<unknown> {
  return (await ask(url, `select count(*)::int from pg_database where datname = 'kept'`))[0];
}

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<{ [column: string]: unknown }>(text)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

describe('the embedded Postgres', () => {
  const options = (): { dataFolder: string; durable: false } => ({
    dataFolder: join(folder, 'postgres'),
    durable: false,
  });

  test('starts, keeps its data over a restart, and leaves no process', async () => {
    const first = await startEmbeddedPostgres(options());
    await createDatabase(first.url('postgres'), 'kept');
    await ask(first.url('kept'), `create table word as select 'Zoë Ødegård 山田' as text`);
    await first.stop();
    expect(processesOn(folder)).toEqual([]);

    const second = await startEmbeddedPostgres(options());
    expect(await ask(second.url('kept'), 'select text from word')).toEqual(['Zoë Ødegård 山田']);
    expect(await ask(second.url('kept'), 'show server_encoding')).toEqual(['UTF8']);
    await second.stop();
    expect(isRunning(second.pid)).toBe(false);
    expect(processesOn(folder)).toEqual([]);
  });

  test('listens on loopback only, and refuses a wrong password', async () => {
    const postgres = await startEmbeddedPostgres(options());
    expect(await ask(postgres.url('postgres'), 'show listen_addresses')).toEqual(['127.0.0.1']);
    expect(await ask(postgres.url('postgres'), 'show unix_socket_directories')).toEqual(['']);
    const wrong = new URL(postgres.url('postgres'));
    wrong.password = 'wrong';
    await expect(ask(wrong.href, 'select 1')).rejects.toThrow(/password authentication failed/);
    await postgres.stop();
    expect((await stat(join(folder, 'postgres.password'))).mode & 0o777).toBe(0o600);
  });

  test('starts again after it was killed, also when its pid now belongs to another program', async () => {
    const killed = await startEmbeddedPostgres(options());
    const password = await readFile(join(folder, 'postgres.password'), 'utf8');
    process.kill(killed.pid, 'SIGKILL');
    await killed.ended;
    const pidFile = join(folder, 'postgres', 'postmaster.pid');
    await writeFile(pidFile, (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(process.pid)));
    const again = await startEmbeddedPostgres(options());
    expect(await ask(again.url('postgres'), 'select 1')).toEqual([1]);
    expect(await readFile(join(folder, 'postgres.password'), 'utf8')).toBe(password);
    await again.stop();
  });

  test('keeps its data below a folder that only its owner may enter, and begins anew when that is removed', async () => {
    const home = join(folder, 'home');
    await mkdir(home, { mode: 0o700 });
    const hidden = { dataFolder: join(home, 'postgres'), durable: false };
    const first = await startEmbeddedPostgres(hidden);
    await createDatabase(first.url('postgres'), 'kept');
    await first.stop();
    const second = await startEmbeddedPostgres(hidden);
    expect(await databasesNamedKept(second.url('postgres'))).toBe(1);
    await second.stop();
    await rm(home, { recursive: true });

    await mkdir(home, { mode: 0o700 });
    const third = await startEmbeddedPostgres(hidden);
    expect(await databasesNamedKept(third.url('postgres'))).toBe(0);
    await third.stop();
    const place = dirname(await realpath(hidden.dataFolder));
    await rm(place, { recursive: true });
    await rm(home, { recursive: true, force: true });
  });

  test('is not started twice on the same data', async () => {
    const running = await startEmbeddedPostgres(options());
    await expect(startEmbeddedPostgres(options())).rejects.toThrow(
      new RegExp(`process ${running.pid}.* is running on`),
    );
    expect(await ask(running.url('postgres'), 'select 1')).toEqual([1]);
    await running.stop();
  });

  test('logs neither the text, the values nor the message of a failed statement', async () => {
    const postgres = await startEmbeddedPostgres(options());
    await ask(postgres.url('postgres'), 'create table person (name text primary key)');
    const statement = `insert into person values ('canary'), ('canary')`;
    await expect(ask(postgres.url('postgres'), statement)).rejects.toThrow(/duplicate key/);
    await expect(ask(postgres.url('postgres'), `select 'canary'::int`)).rejects.toThrow(/canary/);
    await postgres.stop();
    const log = await readFile(join(folder, 'postgres.log'), 'utf8');
    expect(log).toContain('ready to accept connections');
    expect(log).not.toContain('canary');
  });
});

test('a database is copied from a template, and dropped although somebody is connected', async () => {
  const admin = inject('postgresAdminUrl');
  const name = `handoff_test_copy_${process.pid}`;
  await createDatabase(admin, name, inject('templateDatabase'));
  const url = new URL(admin);
  url.pathname = name;
  const pool = new Pool({ connectionString: url.href });
  pool.on('error', () => undefined);
  const { rows } = await pool.query('select shift::text from test_clock');
  expect(rows).toEqual([{ shift: '00:00:00' }]);
  await dropDatabase(admin, name);
  expect(await ask(admin, `select count(*)::int from pg_database where datname = '${name}'`)).toEqual([0]);
  await pool.end();
});

describe('the Temporal dev server', () => {
  test('answers with its UI, and keeps runs and search attributes over a restart', async () => {
    const options = {
      binary: inject('temporalCliPath'),
      dataFile: join(folder, 'temporal.db'),
      logFile: join(folder, 'temporal.log'),
    };
    const first = await startDevTemporal(options);
    expect(await (await fetch(first.uiUrl ?? '')).text()).toContain('<html');
    await expectLoopbackOnly(first);
    await withConnection(first.address, async (connection) => {
      await connection.workflowService.startWorkflowExecution({
        namespace: 'default',
        workflowId: 'kept',
        requestId: 'kept',
        workflowType: { name: 'Anything' },
        taskQueue: { name: 'nobody' },
      });
    });
    await first.stop();
    expect(processesOn(folder)).toEqual([]);

    const second = await startDevTemporal({ ...options, headless: true });
    expect(second.uiUrl).toBeUndefined();
    await withConnection(second.address, async (connection) => {
      const found = await connection.workflowService.describeWorkflowExecution({
        namespace: 'default',
        execution: { workflowId: 'kept' },
      });
      expect(found.workflowExecutionInfo?.type?.name).toBe('Anything');
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
      expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(Object.keys(SEARCH_ATTRIBUTES)));
    });
    await second.stop();
    expect(processesOn(folder)).toEqual([]);
  });

  test('that cannot start says why', async () => {
    const logFile = join(folder, 'failing.log');
    const failing = startDevTemporal({
      binary: inject('temporalCliPath'),
      logFile,
      dataFile: join(folder, 'no/such/folder.db'),
    });
    await expect(failing).rejects.toThrow(
      /^The Temporal dev server did not start: it ended with code 1.*no\/such: no such file/s,
    );
  });
});

/** gRPC, Web UI and whatever else it opens can be reached from this machine alone. */
async function expectLoopbackOnly({ pid, address, uiUrl }: DevTemporal): Promise<void> {
  const ports = [address, new URL(uiUrl ?? '').host].map((host) => Number(host.split(':')[1]));
  if (process.platform === 'linux') {
    const sockets = listeningSockets(pid);
    expect(sockets).toEqual(expect.arrayContaining(ports.map((port) => `127.0.0.1:${port}`)));
    expect(sockets.filter((socket) => !socket.startsWith('127.0.0.1:'))).toEqual([]);
  }
  const outside = outsideAddress();
  for (const port of ports) {
    expect(await connects('127.0.0.1', port)).toBe(true);
    if (outside !== undefined) expect(await connects(outside, port)).toBe(false);
  }
}

async function withConnection(address: string, use: (connection: Connection) => Promise<void>): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await use(connection);
  } finally {
    await connection.close();
  }
}
