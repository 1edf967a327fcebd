import './node-version.ts';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import {
  bundleWorkflowCode,
  NativeConnection,
  type NativeConnectionOptions,
  Runtime,
  Worker,
  type WorkerOptions,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import { attemptActivity } from './activities/attempt-delivery.ts';
import { deliverActivity } from './activities/deliver.ts';
import { fetchMediaActivity } from './activities/fetch-media.ts';
import { onboardingActivities } from './activities/onboarding-activities.ts';
import { sessionImportActivities } from './activities/session-import.ts';
import { translating } from './activities/translate-failure.ts';
import { createAnchorSigner } from './audit/anchors.ts';
import { openAnchorStore } from './audit/open-anchor-store.ts';
import { connectHandoffClient, temporalNamespace } from './client.ts';
import { readWebhooksConfig, readWorkerConfig, type OnboardingWorkerConfig, type WebhooksConfig } from './config.ts';
import { createBlindIndex } from './crypto/blind-index.ts';
import { withSecrets } from './crypto/key-provider.ts';
import { createSealer } from './crypto/payload-seal.ts';
import { rememberedKeys } from './crypto/share-token-keys.ts';
import { crashPoints } from './crash-points.ts';
import { TASK_QUEUES } from './domain/temporal-names.ts';
import { serveHealth } from './health-port.ts';
import { createLogger, errorKind, temporalLogger, type HandoffLogger } from './logging.ts';
import { mediaUrls } from './media/links.ts';
import { fileTaker } from './media/file-taker.ts';
import { MAX_MEDIA_BYTES } from './media/file-types.ts';
import { openMediaStore } from './media/open-media-store.ts';
import { storeFiles } from './media/store-files.ts';
import { auditedCodec, type AuditedCodec } from './postgres/audited-codec.ts';
import { deliveryLedger, DELIVERIES_CHANNEL, dispatchEvents } from './postgres/deliveries.ts';
import { handoffTenants } from './postgres/handoff-tenants.ts';
import { mediaFetchLedger } from './postgres/media-fetches.ts';
import { RUNS_CHANNEL } from './postgres/outbox.ts';
import { loadSigningKeys } from './postgres/signing-keys.ts';
import { createTenants, type Tenants } from './postgres/tenants.ts';
import { tokenDeliveryLedger } from './postgres/token-deliveries.ts';
import { listen } from './postgres/wake-up.ts';
import { startRelay } from './relay/relay.ts';
import { startRuns } from './relay/start-runs.ts';
import { stopWithProblems } from './stop-with-problems.ts';
import { createGuardedGetter } from './webhooks/http-get.ts';
import { createWebhookPoster } from './webhooks/http-post.ts';
import type { AttemptFault, DisabledDestination } from './webhooks/ports.ts';
import { startSender } from './webhooks/sender.ts';
import type { MediaActivities, WebhookActivities } from './workflows/activity-types.ts';

/** A worker process's part that runs until it is stopped. */
export interface RunningWorker {
  /** Takes no more work, finishes what is under way, and closes its connections. */
  stop(): Promise<void>;
  /** Rejects when the worker fails. */
  readonly done: Promise<void>;
  /** Whether it takes work. */
  isRunning(): boolean;
}

interface WorkerParts {
  readonly logger: HandoffLogger;
  readonly bundle: WorkflowBundleOption;
}

/** Longer than any normal activity, so that a SIGTERM does not cancel one. */
const GRACE = { shutdownGraceTime: '25s', shutdownForceTime: '40s' } as const;

/** A worker that died is found out by nothing else: for so long its tasks wait for it before another worker gets them. */
const WAIT_FOR_CACHE = { stickyQueueScheduleToStartTimeout: '5s' } as const;

/** They mostly wait for Postgres; a run that is started while all are taken queues for its first task. */
const MAX_TASKS_OF_ONBOARDINGS = 100;

/** They mostly wait for receivers; with few slots, those that hang would hold the others up. */
const MAX_ATTEMPTS_OF_RUNS = 1_000;

/** A file of the workflow code, as source or built. */
const workflowFile = (name: string) =>
  fileURLToPath(new URL(`./workflows/${name}.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url));

/** Bundled with the workflow code, and loaded by the worker itself. */
const PAYLOAD_CONVERTER = workflowFile('payload-converter');

/** Likewise, where payloads are encrypted. */
const FAILURE_CONVERTER = workflowFile('failure-converter');

/**
 * The workflow bundle: the built one beside this file, else made of the sources now.
 *
 * @param encrypted whether payloads are: messages of failures then are payloads too
 */
export async function loadWorkflowBundle(encrypted: boolean): Promise<WorkflowBundleOption> {
  const name = encrypted ? 'workflow-bundle-encrypted' : 'workflow-bundle';
  const built = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  if (existsSync(built)) return { codePath: built };
  return bundleWorkflowCode({
    workflowsPath: workflowFile('index'),
    payloadConverterPath: PAYLOAD_CONVERTER,
    ...(encrypted && { failureConverterPath: FAILURE_CONVERTER }),
    logger: temporalLogger(createLogger('bundle', 'warn')),
  });
}

const NOTICES = {
  'webhook.failing': 'webhook destination is failing',
  'webhook.disabled': 'webhook destination switched off',
} as const;

/** Workflows, database steps and the relay. Has no outbound network but Postgres, Temporal and the stores. */
export async function startOnboardingWorker(
  config: OnboardingWorkerConfig,
  parts: WorkerParts,
): Promise<RunningWorker> {
  const { logger } = parts;
  const onError = (error: unknown) => logger.error(errorKind(error), 'relay: will try again');
  const tenants = createTenants({
    databaseUrl: config.databaseUrl,
    maxConnections: config.databaseConnections,
    onConnectionError: (error) => logger.warn(errorKind(error), 'database connection lost'),
  });
  const handoff = handoffTenants(
    tenants,
    createSealer({ content: config.contentEncryptionKeys, secrets: null }),
    createBlindIndex(config.blindIndexKey),
  );
  const audited = openCodec(config, tenants, logger);
  const client = connectHandoffClient({ codec: audited?.codec });
  const steps = onboardingActivities({
    onboardingTransaction: (work) => handoff.acrossTenants('onboarding', (tx) => work(tx)),
    redeemTransaction: (work) => handoff.acrossTenants('redeem', (tx) => work(tx)),
    dispatchEvents: (tokenId, attempt) =>
      handoff.acrossTenants('relay', async (tx, sql) => {
        tx.onboardings.lock(tokenId);
        tx.onboardings.endStep(tokenId, 'notify', 'notified', attempt);
        await dispatchEvents(sql, { tokenId });
      }),
    onFault: faultLog(logger),
    style: { businessStatusCase: config.businessStatusCase },
  });
  const media = openMediaStore(config.mediaStore);
  const importSteps = sessionImportActivities({
    importTransaction: (work) => handoff.acrossTenants('session_import', (tx) => work(tx)),
    files: fileTaker({ tenants: handoff, media }),
    onFault: faultLog(logger),
  });
  const activities = { ...steps, ...importSteps };
  const anchorStore = openAnchorStore(config.audit.anchors);
  // Before Temporal answers: events are dispatched without it.
  const relay = startRelay({
    tenants,
    handoff,
    client,
    media,
    onError,
    onNotice: (notice) => logger.warn(notice, NOTICES[notice.event]),
    onUnsealed: (notice) => logger.warn({ security: 'audit_unsealed', ...notice }, 'events wait to be sealed'),
    retention: config.webhookRetention,
    anchoring: {
      signer: createAnchorSigner(config.audit.signingKey),
      store: anchorStore,
      everySeconds: config.audit.anchorSeconds,
    },
  });
  const worker = await connectWorker(
    { taskQueue: TASK_QUEUES.onboarding, activities, maxConcurrentWorkflowTaskExecutions: MAX_TASKS_OF_ONBOARDINGS },
    parts,
    audited,
  );
  const { connection } = worker;
  const starter = startRuns({
    tenants,
    client: connectHandoffClient({ connection, codec: audited?.codec }),
    onError: (error) => logger.error(errorKind(error), 'runs could not be started; the relay will try again'),
  });
  const wakeUps = listen(config.databaseUrl, RUNS_CHANNEL, () => starter.wake());
  const stopStarting = async () => {
    await wakeUps.stop();
    await starter.stop();
  };
  return running({ ...worker, stopStarting }, async () => {
    // What it still has to tell is sealed by the relay.
    await audited?.stop();
    await relay.stop();
    await client.close();
    await audited?.stop();
    await media.close();
    await anchorStore.close();
    await tenants.close();
  });
}

/** The only worker that dials out: the token's delivery, the sender of notifications, and their retries. */
export async function startWebhooksWorker(config: WebhooksConfig, parts: WorkerParts): Promise<RunningWorker> {
  const { logger } = parts;
  const tenants = createTenants({
    databaseUrl: config.databaseUrl,
    maxConnections: config.databaseConnections,
    onConnectionError: (error) => logger.warn(errorKind(error), 'database connection lost'),
  });
  const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
  const handoff = handoffTenants(tenants, sealer, createBlindIndex(config.blindIndexKey));
  const poster = createWebhookPoster(config.webhookUrlRules);
  const docsUrl = `${config.publicUrl}/docs/`;
  const onFault = ({ error, ...fault }: AttemptFault) =>
    logger.error({ ...fault, ...(error !== undefined && errorKind(error)) }, 'webhook could not be sent');
  const shareTokenKeys = rememberedKeys(() =>
    tenants.acrossTenants('signing_keys', (tx) => loadSigningKeys(tx, sealer)),
  );
  const tools = { poster, shareTokenKeys, mediaUrl: mediaUrls(config), docsUrl, onFault };
  const onDisabled = (destination: DisabledDestination) => {
    const line = { event: 'webhook.disabled', ...destination };
    if (destination.reason !== 'blocked') logger.warn(line, NOTICES['webhook.disabled']);
    else logger.warn({ ...line, security: 'egress_blocked' }, 'webhook destination is at no public address');
  };
  const ledger = deliveryLedger(tenants, sealer, onDisabled);
  const tokens = tokenDeliveryLedger(handoff, sealer, onDisabled);
  const getter = createGuardedGetter({ ...config.webhookUrlRules, maxBytes: MAX_MEDIA_BYTES });
  const media = openMediaStore(config.mediaStore);
  const fetching = fetchMediaActivity({
    ledger: mediaFetchLedger(tenants, sealer),
    getter,
    store: (files) => storeFiles({ tenants: handoff, media }, files),
  });
  const activities = translating<WebhookActivities & MediaActivities>(
    { ...deliverActivity(tokens, tools), ...attemptActivity(ledger, tools), ...fetching },
    faultLog(logger),
  );
  const audited = openCodec(config, tenants, logger);
  // Before Temporal answers: first attempts need only Postgres.
  const sender = startSender(ledger, tools, {
    onError: (error) => logger.error(errorKind(error), 'sender: will try again'),
  });
  const wakeUps = listen(config.databaseUrl, DELIVERIES_CHANNEL, () => sender.wake());
  const worker = await connectWorker(
    { taskQueue: TASK_QUEUES.webhooks, activities, maxConcurrentActivityTaskExecutions: MAX_ATTEMPTS_OF_RUNS },
    parts,
    audited,
  );
  return running(worker, async () => {
    await wakeUps.stop();
    await sender.stop();
    await poster.close();
    await getter.close();
    await audited?.stop();
    await media.close();
    await tenants.close();
  });
}

/** The kind and code of an activity's fault; Temporal's own line names the run and the attempt. */
function faultLog(logger: HandoffLogger) {
  return (activity: string, error: unknown) => logger.error({ activity, ...errorKind(error) }, 'activity failed');
}

/** The payload codec, where the settings want one. */
function openCodec(
  { temporalCodec }: OnboardingWorkerConfig | WebhooksConfig,
  tenants: Tenants,
  logger: HandoffLogger,
): AuditedCodec | null {
  if (temporalCodec === null) return null;
  if (temporalCodec.acceptPlain) logger.warn('payloads in Temporal that are not encrypted are taken');
  return auditedCodec(temporalCodec, {
    namespace: temporalNamespace(),
    tenants,
    onRefused: (refused) => logger.warn({ security: 'payload_refused', ...refused }, 'payload in Temporal refused'),
    onError: (error) => logger.error(errorKind(error), 'refused payloads are not in the audit trail yet'),
  });
}

async function connectWorker(
  options: Pick<
    WorkerOptions,
    'taskQueue' | 'maxConcurrentActivityTaskExecutions' | 'maxConcurrentWorkflowTaskExecutions'
  > & { activities: object },
  { bundle, logger }: WorkerParts,
  audited: AuditedCodec | null,
): Promise<{ worker: Worker; connection: NativeConnection }> {
  const namespace = temporalNamespace();
  const connection = await connectPatiently(loadClientConnectConfig().connectionOptions, logger);
  const creating = Worker.create({
    ...options,
    ...GRACE,
    ...WAIT_FOR_CACHE,
    connection,
    namespace,
    workflowBundle: bundle,
    dataConverter: {
      payloadConverterPath: PAYLOAD_CONVERTER,
      ...(audited !== null && { payloadCodecs: [audited.codec], failureConverterPath: FAILURE_CONVERTER }),
    },
    interceptors: { activity: crashPoints(process.env) },
  });
  const worker = await creating.catch((error: unknown) => {
    throw new Error(`cannot poll ${options.taskQueue} in TEMPORAL_NAMESPACE ${namespace}`, {
      cause: error,
    });
  });
  logger.info({ taskQueue: options.taskQueue, namespace }, 'polling');
  return { worker, connection };
}

/** Waits for a Temporal that is down, as everything here does. */
async function connectPatiently(options: NativeConnectionOptions, logger: HandoffLogger): Promise<NativeConnection> {
  for (;;) {
    try {
      return await NativeConnection.connect(options);
    } catch (error) {
      logger.warn(errorKind(error), 'Temporal does not answer; trying again');
      await pause(2_000);
    }
  }
}

function running(
  {
    worker,
    connection,
    stopStarting,
  }: { worker: Worker; connection: NativeConnection; stopStarting?: () => Promise<void> },
  close: () => Promise<void>,
): RunningWorker {
  const done = worker.run();
  // Whoever started it awaits `done`; a failure before that must not count as unhandled.
  done.catch(() => {});
  return {
    done,
    isRunning: () => worker.getState() === 'RUNNING',
    stop: async () => {
      await stopStarting?.();
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await done.catch(() => {});
      await close();
      await connection.close();
    },
  };
}

async function startWorker(role: string | undefined): Promise<RunningWorker> {
  const given = await withSecrets(process.env);
  if ('problems' in given) return stopWithProblems(given.problems);
  const begin = async (level: string, encrypted: boolean) => {
    const logger = createLogger(`${role}-worker`, level);
    Runtime.install({ logger: temporalLogger(logger), shutdownSignals: [] });
    return { logger, bundle: await loadWorkflowBundle(encrypted) };
  };
  switch (role ?? '') {
    case 'onboarding': {
      const config = readWorkerConfig(given.env);
      if ('problems' in config) return stopWithProblems(config.problems);
      return withHealth(
        config.healthPort,
        await startOnboardingWorker(config, await begin(config.logLevel, config.temporalCodec !== null)),
      );
    }
    case 'webhooks': {
      const config = readWebhooksConfig(given.env);
      if ('problems' in config) return stopWithProblems(config.problems);
      return withHealth(
        config.healthPort,
        await startWebhooksWorker(config, await begin(config.logLevel, config.temporalCodec !== null)),
      );
    }
    default:
      return stopWithProblems([
        'name the worker to start: "onboarding" (workflows, database steps) or "webhooks" (sends)',
      ]);
  }
}

/** Our own sentence, or the kind of a library's error. */
function whatFailed(error: unknown): string {
  const own = error instanceof Error && error.message.startsWith('cannot ');
  return own ? error.message : Object.values(errorKind(error)).join(' ');
}

async function withHealth(port: number | null, worker: RunningWorker): Promise<RunningWorker> {
  if (port === null) return worker;
  const stopAnswering = await serveHealth(port, () => worker.isRunning());
  return {
    ...worker,
    stop: async () => {
      stopAnswering();
      await worker.stop();
    },
  };
}

if (import.meta.main) {
  const failed = (error: unknown) => stopWithProblems([`the worker failed: ${whatFailed(error)}`]);
  const worker = await startWorker(process.argv[2]).catch(failed);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void worker.stop());
  worker.done.catch(failed);
}
