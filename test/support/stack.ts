import { randomBytes } from 'node:crypto';
import { ServiceError } from '@temporalio/client';
import { DefaultLogger, makeTelemetryFilterString, Runtime, type LogEntry } from '@temporalio/worker';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import pino from 'pino';
import { afterAll, beforeAll, expect, inject } from 'vitest';
import { connectHandoffClient, temporalNamespace, type HandoffClient } from '../../src/client.ts';
import { readServerConfig, readWebhooksConfig, readWorkerConfig, type Reading } from '../../src/config.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createTemporalCodec } from '../../src/crypto/temporal-codec.ts';
import { startServer, type RunningServer } from '../../src/server.ts';
import {
  loadWorkflowBundle,
  startOnboardingWorker,
  startWebhooksWorker,
  type RunningWorker,
} from '../../src/worker.ts';
import { testContentEnv } from './app-parts.ts';
import { brandsOf, type Brand, type Brands } from './brands.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { readableIn } from './fixture-canaries.ts';
import { useOwnNamespace } from './namespace.ts';
import { expectEnding, type EndedOnboarding, type ExpectedEnding } from './runs.ts';
import { startScriptedPartner, type ScriptedPartner } from './scripted-partner.ts';
import { jsonOf } from './sweep.ts';

const ROLES = ['onboarding', 'webhooks'] as const;
export type WorkerRole = (typeof ROLES)[number];

/** Server and workers of `src` in this process, on Postgres and Temporal of the test run, with brands to play with. */
export interface HandoffStack {
  readonly database: TestDatabase;
  readonly brands: Brands;
  readonly handoff: HandoffClient;
  /** Issues whatever a test shares. */
  readonly issuer: Brand;
  readonly receiver: ScriptedPartner;
  /** Base URL of the server. */
  readonly apiUrl: string;
  /** What a process of this stack would be started with. */
  readonly env: NodeJS.ProcessEnv;
  /** The key ring, as `SHARE_TOKEN_KEYS` has it. */
  readonly shareTokenKeys: string;
  stopWorker(role: WorkerRole): Promise<void>;
  /** @param env settings of this start that differ from the stack's */
  startWorker(role: WorkerRole, env?: NodeJS.ProcessEnv): Promise<void>;
  /** Waits for an onboarding's end and asserts it wherever it shows. */
  expectEnding(partner: Brand, tokenId: string, expected: ExpectedEnding): Promise<EndedOnboarding>;
}

interface Opened extends Pick<HandoffStack, 'brands' | 'handoff' | 'issuer' | 'receiver' | 'env'> {
  readonly server: RunningServer;
}

const logger = pino({ level: 'silent' });

// What the tests themselves bring about: activities that fail, a Temporal that is away, and the greeting of a
// time-skipping one.
const EXPECTED_WARNINGS = /^Activity failed$|^gRPC call \w+ retried|^Temporal Server 1\.16\.0 or newer is required/;

/** Lets Temporal's other warnings show. */
function installRuntime(): void {
  const print = ({ level, message, meta }: LogEntry) => {
    if (!EXPECTED_WARNINGS.test(message)) console.warn(level, message, meta);
  };
  Runtime.install({
    logger: new DefaultLogger('WARN', print),
    shutdownSignals: [],
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  });
}

const SHARE_TOKEN_KEYS = `2026-11:${randomBytes(32).toString('base64url')}`;

export interface HandoffStackOptions {
  /** Names the Temporal to use in the environment; by default a namespace of the test run's server. */
  readonly useTemporal?: () => Promise<unknown>;
  /** Workers to start in this process; default both. */
  readonly workers?: readonly WorkerRole[];
  /** `TEMPORAL_CODEC_KEYS` of every process, and of the test's own client; payloads are not encrypted without it. */
  readonly codecKeys?: string;
}

/** The calling test file's own stack, to be used from `beforeAll` on: a database, a namespace, a server and both workers. */
export function handoffStack(options: HandoffStackOptions = {}): HandoffStack {
  const database = testDatabase();
  const workers = new Map<WorkerRole, RunningWorker>();
  let opened: Opened | undefined;
  const there = (): Opened => {
    if (opened === undefined) throw new Error('The stack is there from beforeAll on');
    return opened;
  };

  const stack: HandoffStack = {
    database,
    shareTokenKeys: SHARE_TOKEN_KEYS,
    get brands() {
      return there().brands;
    },
    get handoff() {
      return there().handoff;
    },
    get issuer() {
      return there().issuer;
    },
    get receiver() {
      return there().receiver;
    },
    get apiUrl() {
      return there().server.url;
    },
    get env() {
      return there().env;
    },
    startWorker: async (role, env = {}) => void workers.set(role, await startWorker(role, { ...there().env, ...env })),
    stopWorker: async (role) => {
      const worker = workers.get(role);
      workers.delete(role);
      await worker?.stop();
    },
    expectEnding: (partner, tokenId, expected) => {
      const { brands, handoff, issuer } = there();
      const checks = { temporal: handoff.temporal, pool: database.pool, brands };
      return expectEnding(checks, { issuer, partner, tokenId }, expected);
    },
  };

  beforeAll(async () => {
    installRuntime();
    await (options.useTemporal ?? (() => useOwnNamespace(inject('temporalAddress'))))();
    const { codecKeys } = options;
    const env = { ...stackEnvironment(database.url), TEMPORAL_CODEC_KEYS: codecKeys };
    const codec =
      codecKeys === undefined
        ? undefined
        : createTemporalCodec({ keys: parseKeyRing(codecKeys), namespace: temporalNamespace() });
    const server = await startServer(orThrow(readServerConfig(env)), logger);
    const receiver = await startScriptedPartner();
    const brands = brandsOf({ databaseUrl: database.url, apiUrl: () => server.url, receiver });
    const issuer = await brands.add();
    opened = { brands, handoff: connectHandoffClient({ codec }), issuer, receiver, server, env };
    await Promise.all((options.workers ?? ROLES).map((role) => stack.startWorker(role)));
  });
  afterAll(async () => {
    await Promise.all(ROLES.map((role) => stack.stopWorker(role)));
    if (opened === undefined) return;
    await opened.server.close();
    const readable = await readableInTemporal(opened.handoff, database);
    await opened.handoff.close();
    await opened.receiver.stop();
    expect(readable, 'personal data in histories of runs').toEqual([]);
  });
  return stack;
}

/** Runs whose histories are searched at the end of a test file. */
const MOST_RUNS = 200;

/** Personal data of the tests' documents in the histories of the newest runs, and in what lists of runs show. */
async function readableInTemporal({ temporal }: HandoffClient, database: TestDatabase): Promise<string[]> {
  const texts: Promise<string>[] = [];
  const read = async (workflowId: string, runId?: string) =>
    historyToJSON(await temporal.workflow.getHandle(workflowId, runId).fetchHistory());
  try {
    for await (const run of temporal.workflow.list()) {
      texts.push(read(run.workflowId, run.runId).then((history) => history + jsonOf(run.raw)));
      if (texts.length === MOST_RUNS) break;
    }
  } catch (error) {
    // The server that skips time lists no runs.
    if (!(error instanceof ServiceError) || (error.cause as { code?: unknown }).code !== UNIMPLEMENTED) throw error;
    const { rows } = await database.pool.query<{ id: string }>('select token_id as id from onboarding limit $1', [
      MOST_RUNS,
    ]);
    texts.push(...rows.map(({ id }) => read(id)));
  }
  return readableIn((await Promise.all(texts)).join('\n'));
}

const UNIMPLEMENTED = 12;

/** Temporal's own variables are those of this process. */
function stackEnvironment(databaseUrl: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    DATABASE_URL: databaseUrl,
    SHARE_TOKEN_KEYS,
    ...testContentEnv(),
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8',
    DATABASE_CONNECTIONS: '8',
    PORT: '0',
  };
}

let encryptedBundle: ReturnType<typeof loadWorkflowBundle> | undefined;

async function startWorker(role: WorkerRole, env: NodeJS.ProcessEnv): Promise<RunningWorker> {
  const encrypted = (env['TEMPORAL_CODEC_KEYS'] ?? '') !== '';
  const bundle = encrypted ? await (encryptedBundle ??= loadWorkflowBundle(true)) : { codePath: inject('bundlePath') };
  const parts = { logger, bundle };
  return role === 'onboarding'
    ? startOnboardingWorker(orThrow(readWorkerConfig(env)), parts)
    : startWebhooksWorker(orThrow(readWebhooksConfig(env)), parts);
}

function orThrow<Config extends object>(config: Reading<Config>): Config {
  if ('problems' in config) throw new Error((config as { problems: readonly string[] }).problems.join('\n'));
  return config;
}
