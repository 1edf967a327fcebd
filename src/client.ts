import {
  Client,
  Connection,
  type ConnectionLike,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { TypedSearchAttributes, type PayloadCodec } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { SessionKind } from './domain/decision-categories.ts';
import {
  DELIVERY_DUE_SIGNAL,
  FILES_EXPECTED_SIGNAL,
  MEDIA_FETCH,
  mediaFetchWorkflowId,
  ONBOARDING_STATUS_QUERY,
  PARTNER_ONBOARDING,
  SEARCH_ATTRIBUTES,
  SESSION_IMPORT,
  sessionImportWorkflowId,
  TASK_QUEUES,
  WEBHOOK_DELIVERY,
  webhookDeliveryWorkflowId,
  type SignalName,
} from './domain/temporal-names.ts';
import type { OnboardingView } from './workflows/partner-onboarding.ts';
import {
  HANDOFF_ISSUER,
  HANDOFF_PARTNER,
  HANDOFF_SESSION_KIND,
  HANDOFF_STATUS,
} from './workflows/search-attributes.ts';

/** How an onboarding's run stands in Temporal; `unknown` when Temporal has never heard of it, or no longer. */
export type RunState = 'running' | 'completed' | 'canceled' | 'terminated' | 'failed' | 'timed_out' | 'unknown';

/** What a run is started with: ids and enums only. */
export interface OnboardingRun {
  readonly tokenId: string;
  readonly issuerId: string;
  readonly partnerId: string;
  readonly sessionKind: SessionKind;
}

/** What a delivery's retries are started with. */
export interface WebhookDeliveryRun {
  readonly deliveryId: string;
  readonly eventId: string;
  readonly destinationId: string;
  /** Receives the event: attempts are shared out between receivers, so that none waits behind another's many. */
  readonly applicationId: string;
  /** Milliseconds until the next attempt. */
  readonly delayMs: number;
}

/** The only way to start, signal or query our workflows. Every call fails after five seconds without an answer. */
export interface HandoffClient {
  /** Starts the run of a token; a second start is refused by Temporal and reported as `already_started`. */
  startOnboarding(run: OnboardingRun): Promise<'started' | 'already_started'>;
  /** Wakes a run with the id of the row that says what happened. */
  signalOnboarding(tokenId: string, signal: SignalName, rowId: string): Promise<'signalled' | 'not_found'>;
  /** Asks a run about itself; for lists and history ask Postgres. */
  queryOnboarding(tokenId: string): Promise<OnboardingView>;
  describeOnboarding(tokenId: string): Promise<RunState>;
  /** Starts the retries of one delivery, or tells the run that is at it to look at its row again. */
  startWebhookDelivery(run: WebhookDeliveryRun): Promise<'started' | 'signalled'>;
  /** Starts the taking in of a file of sessions. */
  startSessionImport(importId: string): Promise<'started' | 'already_started'>;
  describeSessionImport(importId: string): Promise<RunState>;
  /** Starts the fetching of a session's files, or tells the run that is at it to look for more. */
  startMediaFetch(sessionId: string): Promise<void>;
  /** Names of our search attributes that the namespace lacks. */
  missingSearchAttributes(): Promise<string[]>;
  /** Rejects when Temporal does not answer. */
  ping(): Promise<void>;
  /** Closes the connection; calls under way fail. */
  close(): Promise<void>;
  readonly temporal: Client;
}

export interface HandoffClientOptions {
  /** A client of the caller's own, with its connection and namespace; it is not closed here. */
  readonly client?: Client;
  /** Encrypts and decrypts payloads, where they are encrypted; not for a client of the caller's own, which has its own. */
  readonly codec?: PayloadCodec | undefined;
  /** Milliseconds before a call is given up; default 5,000. */
  readonly deadlineMs?: number;
  /**
   * The connection of a worker in this process, which then gets the first task of each run with the answer to its start;
   * it is not closed here.
   */
  readonly connection?: ConnectionLike;
}

/**
 * Connects lazily: a Temporal that is down fails the calls, never the start-up. Reads Temporal's own environment
 * (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, TLS, profiles).
 */
export function connectHandoffClient(options: HandoffClientOptions = {}): HandoffClient {
  const deadlineMs = options.deadlineMs ?? 5_000;
  const client = options.client ?? openClient(options);
  const within = <T>(call: () => Promise<T>) => client.connection.withDeadline(Date.now() + deadlineMs, call);

  const describe = async (workflowId: string): Promise<RunState> => {
    try {
      const { status } = await within(() => client.workflow.getHandle(workflowId).describe());
      return runState(status.name);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return 'unknown';
      throw error;
    }
  };

  return {
    temporal: client,
    startOnboarding: (run) =>
      startOnce(() =>
        within(() =>
          client.workflow.start(PARTNER_ONBOARDING, {
            workflowId: run.tokenId,
            taskQueue: TASK_QUEUES.onboarding,
            args: [{ tokenId: run.tokenId }],
            // One run for a token, while it runs and after; Postgres says so for ever.
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            workflowIdConflictPolicy: 'FAIL',
            // By this alone the task of a worker that died comes to another one; steps under way renew it.
            workflowTaskTimeout: '8s',
            requestEagerStart: options.connection !== undefined,
            typedSearchAttributes: new TypedSearchAttributes([
              { key: HANDOFF_STATUS, value: 'minting' },
              { key: HANDOFF_ISSUER, value: run.issuerId },
              { key: HANDOFF_PARTNER, value: run.partnerId },
              { key: HANDOFF_SESSION_KIND, value: run.sessionKind },
            ]),
            staticSummary: run.sessionKind === 'user' ? 'Hand over a person (KYC)' : 'Hand over a company (KYB)',
          }),
        ),
      ),
    signalOnboarding: async (tokenId, signal, rowId) => {
      try {
        await within(() => client.workflow.getHandle(tokenId).signal(signal, rowId));
        return 'signalled';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return 'not_found';
        throw error;
      }
    },
    queryOnboarding: (tokenId) =>
      within(() => client.workflow.getHandle(tokenId).query<OnboardingView>(ONBOARDING_STATUS_QUERY)),
    describeOnboarding: describe,
    startWebhookDelivery: async (run) => {
      const workflowId = webhookDeliveryWorkflowId(run.eventId, run.destinationId);
      const started = await startOnce(() =>
        within(() =>
          client.workflow.start(WEBHOOK_DELIVERY, {
            workflowId,
            taskQueue: TASK_QUEUES.webhooks,
            args: [{ deliveryId: run.deliveryId, delayMs: run.delayMs }],
            // A run that ended before its delivery, or whose delivery began anew, is followed by another; never two at once.
            workflowIdReusePolicy: 'ALLOW_DUPLICATE',
            workflowIdConflictPolicy: 'FAIL',
            // Its attempts inherit it.
            priority: { fairnessKey: run.applicationId },
            staticSummary: 'Retry a webhook delivery',
          }),
        ),
      );
      if (started === 'started') return 'started';
      // Not `signalWithStart`: a new run has nothing to look at before its time. One that ended meanwhile is an error,
      // and whoever wanted this tries again.
      await within(() => client.workflow.getHandle(workflowId).signal(DELIVERY_DUE_SIGNAL));
      return 'signalled';
    },
    startSessionImport: (importId) =>
      startOnce(() =>
        within(() =>
          client.workflow.start(SESSION_IMPORT, {
            workflowId: sessionImportWorkflowId(importId),
            taskQueue: TASK_QUEUES.onboarding,
            args: [{ importId }],
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            workflowIdConflictPolicy: 'FAIL',
            staticSummary: 'Take a file of sessions in',
          }),
        ),
      ),
    describeSessionImport: (importId) => describe(sessionImportWorkflowId(importId)),
    startMediaFetch: async (sessionId) => {
      // One call for both: a run that is about to end when it is told looks again.
      await within(() =>
        client.workflow.signalWithStart(MEDIA_FETCH, {
          workflowId: mediaFetchWorkflowId(sessionId),
          taskQueue: TASK_QUEUES.webhooks,
          args: [{ sessionId }],
          signal: FILES_EXPECTED_SIGNAL,
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          staticSummary: "Fetch a session's files",
        }),
      );
    },
    missingSearchAttributes: async () => {
      const { namespace } = client.options;
      const known = await within(() => client.connection.operatorService.listSearchAttributes({ namespace }));
      const names = new Set(Object.keys(known.customAttributes ?? {}));
      return Object.keys(SEARCH_ATTRIBUTES).filter((name) => !names.has(name));
    },
    ping: async () => {
      const { namespace } = client.options;
      await within(() => client.connection.workflowService.describeNamespace({ namespace }));
    },
    close: async () => {
      if (options.client === undefined && options.connection === undefined) await client.connection.close();
    },
  };
}

function openClient({ codec, connection }: HandoffClientOptions): Client {
  return new Client({
    connection: connection ?? Connection.lazy(loadClientConnectConfig().connectionOptions),
    namespace: temporalNamespace(),
    ...(codec !== undefined && { dataConverter: { payloadCodecs: [codec] } }),
  });
}

/** The namespace that Temporal's own environment names. */
export function temporalNamespace(): string {
  return loadClientConnectConfig().namespace ?? 'default';
}

async function startOnce(start: () => Promise<unknown>): Promise<'started' | 'already_started'> {
  try {
    await start();
    return 'started';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already_started';
    throw error;
  }
}

function runState(name: string): RunState {
  switch (name) {
    case 'RUNNING':
    case 'PAUSED':
    case 'CONTINUED_AS_NEW':
      return 'running';
    case 'COMPLETED':
      return 'completed';
    case 'CANCELLED':
      return 'canceled';
    case 'TERMINATED':
      return 'terminated';
    case 'FAILED':
      return 'failed';
    case 'TIMED_OUT':
      return 'timed_out';
    default:
      return 'unknown';
  }
}
