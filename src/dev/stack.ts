import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Runtime } from '@temporalio/worker';
import pino from 'pino';
import { connectHandoffClient } from '../client.ts';
import { readServerConfig, readWebhooksConfig, readWorkerConfig } from '../config.ts';
import { SEARCH_ATTRIBUTES } from '../domain/temporal-names.ts';
import { temporalLogger } from '../logging.ts';
import { migrate } from '../postgres/migrate.ts';
import { startServer } from '../server.ts';
import { loadWorkflowBundle, startOnboardingWorker, startWebhooksWorker } from '../worker.ts';
import { startDevTemporal } from './dev-temporal.ts';
import { createDatabase, startEmbeddedPostgres } from './embedded-database.ts';
import { freePort } from './free-port.ts';
import type { Progress } from './progress.ts';
import { startReceiver, type Receiver } from './receiver.ts';
import { anchorsFolder } from './sandbox.ts';
import { findTemporalBinary } from './temporal-binaries.ts';

/** Everything that `npm start` runs. */
export interface Stack {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  /** Base URL of Temporal's Web UI; `null` when a server of somebody else's is used that names none. */
  readonly temporalUiUrl: string | null;
  readonly apiUrl: string;
  readonly receiver: Receiver;
  /** Ends everything, the last started first. */
  stop(): Promise<void>;
}

/** Keys of a development folder, by the variable that each is for. */
export type Secrets = Readonly<
  Record<
    | 'KEY_ENCRYPTION_KEYS'
    | 'CONTENT_ENCRYPTION_KEYS'
    | 'AUDIT_SIGNING_KEY'
    | 'ACCESS_TOKEN_KEY'
    | 'BLIND_INDEX_KEY'
    | 'MEDIA_LINK_KEY',
    string
  >
>;

/** Makes every key anew. */
export function newSecrets(): Secrets {
  const key = () => randomBytes(32).toString('base64url');
  return {
    KEY_ENCRYPTION_KEYS: `dev-1:${key()}`,
    CONTENT_ENCRYPTION_KEYS: `dev-1:${key()}`,
    AUDIT_SIGNING_KEY: key(),
    ACCESS_TOKEN_KEY: key(),
    BLIND_INDEX_KEY: key(),
    MEDIA_LINK_KEY: key(),
  };
}

/** Receivers of the sandbox listen on this machine alone. */
const LOOPBACK = '127.0.0.0/8';

/** Search attribute types as `addSearchAttributes` numbers them. */
const INDEXED_VALUE_TYPE = { Keyword: 2, Datetime: 6 } as const;

/**
 * Starts Postgres, Temporal, the schema, the onboarding worker, the HTTP server, the webhooks worker and the brands'
 * receiver, in this order: the worker that seals the audit trail ends after all others that write to it.
 * `DATABASE_URL` and `TEMPORAL_ADDRESS` put servers of one's own in the place of the first two.
 *
 * @param folder where data and logs are kept
 * @param secrets of this folder; what the environment sets wins
 */
export async function startStack(folder: string, secrets: Secrets, say: Progress): Promise<Stack> {
  mkdirSync(folder, { recursive: true });
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let end = stops.pop(); end !== undefined; end = stops.pop()) await end();
  };
  try {
    const databaseUrl = await startDatabase(folder, stops, say);
    const applied = await migrate(databaseUrl);
    say(applied.length === 0 ? 'Schema is current' : `Schema migrated (${applied.length} applied)`);
    const temporal = await startTemporal(folder, stops, say);
    process.env['TEMPORAL_ADDRESS'] = temporal.address;
    await createSearchAttributes(say);

    const port = await freePort(Number(process.env['PORT'] ?? 8080));
    const env = {
      WEBHOOK_ALLOWED_CIDRS: LOOPBACK,
      SHOW_ONE_TIME_CODES: 'true',
      MEDIA_STORE: pathToFileURL(join(folder, 'media')).href,
      AUDIT_ANCHORS: pathToFileURL(anchorsFolder(folder)).href,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      ...secrets,
      ...process.env,
      DATABASE_URL: databaseUrl,
      PORT: String(port),
    };
    const logger = pino({ level: 'info' }, pino.destination({ dest: join(folder, 'handoff.log'), mkdir: true }));
    Runtime.install({ logger: temporalLogger(logger), shutdownSignals: [] });
    const workerConfig = orThrow(readWorkerConfig(env));
    const parts = { logger, bundle: await loadWorkflowBundle(workerConfig.temporalCodec !== null) };
    const onboarding = await startOnboardingWorker(workerConfig, parts);
    stops.push(() => onboarding.stop());
    const server = await startServer(orThrow(readServerConfig(env)), logger);
    stops.push(() => server.close());
    say(`HTTP server listens on ${server.url}`);
    const webhooks = await startWebhooksWorker(orThrow(readWebhooksConfig(env)), parts);
    stops.push(() => webhooks.stop());
    say('Workers poll handoff-onboarding and handoff-webhooks');
    const receiver = await startReceiver(await freePort(8090));
    stops.push(() => receiver.stop());
    say(`Simulated brands receive webhooks at ${receiver.urlOf('partner')}`);
    return {
      databaseUrl,
      temporalAddress: temporal.address,
      temporalUiUrl: temporal.uiUrl,
      apiUrl: server.url,
      receiver,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startDatabase(folder: string, stops: (() => Promise<void>)[], say: Progress): Promise<string> {
  const given = process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') {
    say('Postgres: the one in DATABASE_URL');
    return given;
  }
  const port = await freePort(5433);
  const postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), port });
  stops.push(() => postgres.stop());
  await createDatabase(postgres.url('postgres'), 'handoff').catch((error: unknown) => {
    const duplicateDatabase = '42P04';
    if ((error as { code?: unknown }).code !== duplicateDatabase) throw error;
  });
  say(`Postgres listens on 127.0.0.1:${port}`);
  return postgres.url('handoff');
}

async function startTemporal(
  folder: string,
  stops: (() => Promise<void>)[],
  say: Progress,
): Promise<{ address: string; uiUrl: string | null }> {
  const given = process.env['TEMPORAL_ADDRESS'];
  if (given !== undefined && given !== '') {
    say(`Temporal: the one at ${given}`);
    return { address: given, uiUrl: process.env['TEMPORAL_UI_URL'] ?? null };
  }
  const binary = await findTemporalBinary('cli', { report: say });
  const temporal = await startDevTemporal({
    binary,
    dataFile: join(folder, 'temporal.db'),
    port: await freePort(7233),
    uiPort: await freePort(8233),
    logFile: join(folder, 'temporal.log'),
  });
  stops.push(() => temporal.stop());
  say(`Temporal listens on ${temporal.address}, its Web UI on ${temporal.uiUrl}`);
  return { address: temporal.address, uiUrl: temporal.uiUrl ?? null };
}

async function createSearchAttributes(say: Progress): Promise<void> {
  const client = connectHandoffClient({ deadlineMs: 15_000 });
  try {
    const missing = new Set(await client.missingSearchAttributes());
    const searchAttributes = Object.fromEntries(
      Object.entries(SEARCH_ATTRIBUTES)
        .filter(([name]) => missing.has(name))
        .map(([name, type]) => [name, INDEXED_VALUE_TYPE[type]]),
    );
    if (missing.size > 0) {
      const { namespace } = client.temporal.options;
      await client.temporal.connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    }
    say(`Search attributes are there: ${Object.keys(SEARCH_ATTRIBUTES).join(', ')}`);
  } finally {
    await client.close();
  }
}

function orThrow<Config extends object>(config: Config | { readonly problems: readonly string[] }): Config {
  if ('problems' in config) throw new Error((config as { problems: readonly string[] }).problems.join('\n'));
  return config;
}
