import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client as TemporalClient, Connection } from '@temporalio/client';
import { Pool } from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { createDatabase, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { testContentEnv } from './app-parts.ts';
import type { CanaryBook } from './canaries.ts';
import { startMailbox, type Mailbox } from './mailbox.ts';
import { installTestClock } from './test-clock.ts';
import { startOwnProcess, startServerProcess, startWorkerProcess, type OwnProcess } from './worker-process.ts';

/** Everything of an installation, in places of its own that can be searched to the last byte. */
export interface CanaryStack {
  readonly apiUrl: string;
  readonly codecUrl: string;
  /** As the superuser. */
  readonly pool: Pool;
  readonly temporal: TemporalClient;
  readonly mailbox: Mailbox;
  /** What commands of the operator are run with. */
  readonly env: NodeJS.ProcessEnv;
  /** Postgres' own files. */
  readonly clusterFolder: string;
  /** What Temporal stores. */
  readonly temporalFile: string;
  readonly mediaFolder: string;
  readonly anchorsFolder: string;
  /** What every process has written, by its name: ours, Postgres and Temporal. */
  logs(): Record<string, string>;
  /** Ends our own processes, with the work that they have begun. */
  stopProcesses(): Promise<void>;
}

const LOGINS = { server: 'handoff_server', onboarding: 'handoff_worker', webhooks: 'handoff_webhooks' } as const;

/**
 * The calling test file's own Postgres cluster, Temporal with a file, mail server, and the processes of production with
 * their own logins, at their most talkative. Every secret that they are started with is in the book.
 */
export function canaryStack(book: CanaryBook): CanaryStack {
  let opened: (CanaryStack & { readonly stop: () => Promise<void> }) | undefined;
  beforeAll(async () => {
    opened = await open(book);
  });
  afterAll(() => opened?.stop());
  return new Proxy({} as CanaryStack, {
    get: (_target, name) => {
      if (opened === undefined) throw new Error('The stack is there from beforeAll on');
      return Reflect.get(opened, name) as unknown;
    },
  });
}

const secretsIn = (book: CanaryBook, env: Readonly<Record<string, string | undefined>>): void => {
  for (const [name, value = ''] of Object.entries(env)) {
    if (!name.endsWith('_KEY') && !name.endsWith('_KEYS')) continue;
    for (const key of value.split(',')) {
      const secret = key.split(':').at(-1) ?? '';
      book.note('secret', name, secret);
      book.note('secret', `${name} as bytes in hexadecimal`, Buffer.from(secret, 'base64url').toString('hex'));
    }
  }
};

async function open(book: CanaryBook): Promise<CanaryStack & { stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'handoff-canaries-'));
  // Postgres runs under another account when the tests run as root.
  chmodSync(folder, 0o711);
  const files = { cluster: join(folder, 'postgres'), temporal: join(folder, 'temporal.sqlite') };
  const temporalLog = join(folder, 'temporal.log');
  const [postgres, temporal, mailbox] = await Promise.all([
    startEmbeddedPostgres({ dataFolder: files.cluster, durable: false }),
    startDevTemporal({
      binary: inject('temporalCliPath'),
      headless: true,
      dataFile: files.temporal,
      logFile: temporalLog,
    }),
    startMailbox({ user: 'handoff', password: book.plant('secret', 'SMTP password') }),
  ]);
  const { owner, urls } = await prepareDatabase(book, postgres);
  const codecToken = book.plant('secret', 'token of an operator of the codec server') + 'x'.repeat(32);
  const env = environment(book, { owner, temporal, mailbox, codecToken });
  const env4 = (login: keyof typeof urls) => ({ ...env, DATABASE_URL: urls[login] });
  const codecPort = await freePort();
  const codecEnv = { ...env4('server'), CODEC_PORT: String(codecPort), TEMPORAL_CODEC_KEYS: env['CODEC_KEYS'] };
  const codecUrl = `http://127.0.0.1:${codecPort}`;
  const [server, onboarding, webhooks, codec] = await Promise.all([
    startServerProcess(env4('server')),
    startWorkerProcess('onboarding', env4('onboarding')),
    startWorkerProcess('webhooks', env4('webhooks')),
    startOwnProcess(['codec-server.ts'], codecEnv, async () => (await fetch(`${codecUrl}/healthz`)).ok),
  ]);
  const processes: Record<string, OwnProcess> = { server, onboarding, webhooks, codec };
  const pool = new Pool({ connectionString: owner, max: 4 });
  pool.on('error', () => undefined);
  const connection = await Connection.connect({ address: temporal.address });
  const stopProcesses = async () => void (await Promise.all(Object.values(processes).map((process) => process.stop())));
  return {
    apiUrl: server.url,
    codecUrl,
    pool,
    temporal: new TemporalClient({ connection, namespace: 'default' }),
    mailbox,
    env,
    clusterFolder: files.cluster,
    temporalFile: files.temporal,
    mediaFolder: fileURLToPath(String(env['MEDIA_STORE'])),
    anchorsFolder: fileURLToPath(String(env['AUDIT_ANCHORS'])),
    logs: () => ({
      ...Object.fromEntries(Object.entries(processes).map(([name, process]) => [name, process.log()])),
      postgres: readFileSync(`${files.cluster}.log`, 'utf8'),
      temporal: existsSync(temporalLog) ? readFileSync(temporalLog, 'utf8') : '',
    }),
    stopProcesses,
    stop: async () => {
      await stopProcesses();
      await connection.close();
      await pool.end();
      await Promise.all([mailbox.stop(), temporal.stop(), postgres.stop()]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A migrated database whose clock tests can shift, and the logins of the processes, as production has them. */
async function prepareDatabase(book: CanaryBook, postgres: EmbeddedPostgres) {
  book.note('secret', 'password of the superuser', new URL(postgres.url('postgres')).password);
  await createDatabase(postgres.url('postgres'), 'handoff');
  const owner = postgres.url('handoff');
  const pool = new Pool({ connectionString: owner, max: 1 });
  const urls: Record<keyof typeof LOGINS, string> = { server: '', onboarding: '', webhooks: '' };
  for (const [name, login] of Object.entries(LOGINS)) {
    const url = new URL(owner);
    url.username = login;
    url.password = book.plant('secret', `database password of the ${name}`);
    await pool.query(`create role ${login} login noinherit password '${url.password}'`);
    urls[name as keyof typeof LOGINS] = url.href;
  }
  await migrate(owner);
  await installTestClock(owner);
  await pool.end();
  return { owner, urls };
}

function environment(
  book: CanaryBook,
  parts: {
    readonly owner: string;
    readonly temporal: DevTemporal;
    readonly mailbox: Mailbox;
    readonly codecToken: string;
  },
): NodeJS.ProcessEnv {
  const key = () => randomBytes(32).toString('base64url');
  const secrets = {
    BLIND_INDEX_KEY: key(),
    MEDIA_LINK_KEY: key(),
    ACCESS_TOKEN_KEY: key(),
    AUDIT_SIGNING_KEY: key(),
    SHARE_TOKEN_KEYS: `share-1:${key()}`,
    KEY_ENCRYPTION_KEYS: `secrets-1:${key()}`,
    CONTENT_ENCRYPTION_KEYS: `content-1:${key()}`,
    CODEC_KEYS: `codec-1:${key()}`,
  };
  secretsIn(book, secrets);
  return {
    ...process.env,
    ...testContentEnv(),
    ...secrets,
    DATABASE_URL: parts.owner,
    TEMPORAL_ADDRESS: parts.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    CODEC_UI_ORIGIN: 'http://ui.example',
    CODEC_OPERATORS: `olga:${createHash('sha256').update(parts.codecToken).digest('hex')}`,
    SMTP_URL: parts.mailbox.url,
    SHOW_ONE_TIME_CODES: 'false',
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8',
    AUDIT_ANCHOR_SECONDS: '1',
    LOG_LEVEL: 'debug',
  };
}
