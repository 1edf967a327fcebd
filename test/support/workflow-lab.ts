import type { Duration } from '@temporalio/common';
import { WorkflowFailedError, WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject } from 'vitest';
import { connectHandoffClient, type HandoffClient } from '../../src/client.ts';
import type { OnboardingResult } from '../../src/domain/onboarding.ts';
import { ONBOARDING_STATUS_QUERY, SEARCH_ATTRIBUTES, TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import type {
  AttemptResult,
  FetchResult,
  SessionImportActivities,
  TokenRef,
} from '../../src/workflows/activity-types.ts';
import type { OnboardingView } from '../../src/workflows/partner-onboarding.ts';
import { HANDOFF_STATUS } from '../../src/workflows/search-attributes.ts';
import { ISSUER, PARTNER } from './fake-share-rows.ts';
import { fakeShare, type FakeShare, type FakeShareOptions } from './fake-share.ts';
import { keepHistory } from './saved-histories.ts';
import { connectTimeSkipping, startTestServer, type TestServer } from './test-server.ts';
import { logUnexpectedWarnings } from './workflow-logs.ts';

const TYPES = { Keyword: 2, Datetime: 6 } as const;

/** A run that is over, as an operator would find it. */
export interface EndedRun {
  /** `null` for a run that was cancelled. */
  readonly result: OnboardingResult | null;
  /** The run's own state in Temporal, e.g. `COMPLETED`, `CANCELLED`. */
  readonly state: string;
  readonly searchAttribute: string | undefined;
  readonly view: OnboardingView;
  readonly history: History;
  /** Milliseconds, on the server's clock. */
  readonly closedAt: number;
}

/** The real workflow code on a time-skipping server of the test file's own, with shares of the test's making. */
export interface WorkflowLab {
  readonly env: TestWorkflowEnvironment;
  readonly client: HandoffClient;
  /** A share whose clock is the server's. */
  share(options?: FakeShareOptions): FakeShare;
  /** A share, and its run under way. */
  begin(options?: FakeShareOptions): Promise<FakeShare>;
  start(share: FakeShare): Promise<void>;
  run(share: FakeShare): WorkflowHandle;
  /** What the run says of itself. */
  view(share: FakeShare): Promise<OnboardingView>;
  /** Lets the time pass, with all that happens in it. */
  pass(duration: Duration): Promise<void>;
  /** Stops the workers, and starts new ones after `meanwhile`: they know nothing of the runs under way. */
  replaceWorkers(meanwhile?: () => Promise<void>): Promise<void>;
  /**
   * Waits for a run's end and looks at it; a run that failed fails the test.
   *
   * @param path name of the path taken: its history is saved when the tests run for that (`scripts/save-histories.ts`)
   */
  end(share: FakeShare, path?: string): Promise<EndedRun>;
  /** Attempts of notifications, by delivery id. */
  readonly attemptDelivery: Map<string, (attempt: number) => AttemptResult | Promise<AttemptResult>>;
  /** Rounds of fetching, by session id. */
  readonly fetches: Map<string, (round: number) => FetchResult | Promise<FetchResult>>;
  /** Steps of imports, by import id. */
  readonly imports: Map<string, SessionImportActivities>;
}

/**
 * Sets up the lab for the calling test file; it may be used from `beforeAll` on.
 *
 * @param options.maxCachedWorkflows 0 where workers are replaced: the test server never takes back a task that it keeps
 *   for the worker that has the run in its cache
 */
export function workflowLab(options: Pick<WorkerOptions, 'maxCachedWorkflows'> = {}): WorkflowLab {
  let opened: TestWorkflowEnvironment | undefined;
  let server: TestServer | undefined;
  let stopWorkers = () => Promise.resolve();
  const shares = new Map<string, FakeShare>();
  const attemptDelivery: WorkflowLab['attemptDelivery'] = new Map();
  const imports: WorkflowLab['imports'] = new Map();
  const fetches: WorkflowLab['fetches'] = new Map();

  const env = (): TestWorkflowEnvironment => {
    if (opened === undefined) throw new Error('The lab is there from beforeAll on');
    return opened;
  };
  const client = () => connectHandoffClient({ client: env().client });
  const run = ({ tokenId }: FakeShare) => env().client.workflow.getHandle(tokenId);
  const startWorkers = async () =>
    void (stopWorkers = await startLabWorkers(env(), options, { shares, attemptDelivery, imports, fetches }));

  beforeAll(async () => {
    // Failing activities and runs, and the server's short greeting, are of these tests' making.
    logUnexpectedWarnings(/^Activity failed|^Workflow failed|^Temporal Server 1\.16\.0 or newer is required/);
    server = await startTestServer(inject('testServerPath'));
    opened = await connectTimeSkipping(server.address);
    const { connection, namespace } = opened;
    await connection.operatorService.addSearchAttributes({
      namespace: namespace ?? 'default',
      searchAttributes: Object.fromEntries(
        Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, TYPES[type]]),
      ),
    });
    await startWorkers();
  });
  afterAll(async () => {
    await stopWorkers();
    await opened?.teardown();
    await server?.stop();
  });

  const lab: WorkflowLab = {
    get env() {
      return env();
    },
    get client() {
      return client();
    },
    attemptDelivery,
    imports,
    fetches,
    share: (about) => {
      const share = fakeShare(
        {
          clock: () => env().currentTimeMs(),
          signal: (tokenId, { signal, rowId }) =>
            signalIfRunning(env().client.workflow.getHandle(tokenId), signal, rowId),
        },
        about,
      );
      shares.set(share.tokenId, share);
      return share;
    },
    begin: async (about) => {
      const share = lab.share(about);
      await lab.start(share);
      return share;
    },
    start: async ({ tokenId }) => {
      const about = { issuerId: ISSUER, partnerId: PARTNER, sessionKind: 'user' } as const;
      expect(await client().startOnboarding({ tokenId, ...about })).toBe('started');
    },
    run,
    view: (share) => run(share).query<OnboardingView>(ONBOARDING_STATUS_QUERY),
    pass: (duration) => env().sleep(duration),
    replaceWorkers: async (meanwhile) => {
      await stopWorkers();
      await meanwhile?.();
      await startWorkers();
    },
    end: async (share, path) => {
      const ended = await endOf(run(share));
      if (path !== undefined) await keepHistory(`PartnerOnboarding-${path}`, ended.history);
      return ended;
    },
  };
  return lab;
}

/** Asserts a business ending, wherever it shows: result, state, search attribute, query, and Postgres. */
export function expectEnding(share: FakeShare, ended: EndedRun, result: OnboardingResult): void {
  expect(ended.result).toEqual(result);
  expect(ended.state).toBe('COMPLETED');
  expect(ended.searchAttribute).toBe(result.status);
  expect(ended.view).toMatchObject({ tokenId: share.tokenId, status: result.status });
  expect(ended.history).toSatisfy(hasNoFailedTask);
  const { onboarding, redeemedSessionId } = share.rows();
  expect(onboarding).toMatchObject({ ended: true, status: result.status });
  expect(redeemedSessionId).toBe(result.sessionId ?? null);
  const endings = share.events().filter((type) => /^share\.(?!minted|received)/.test(type));
  expect(new Set(endings)).toEqual(new Set([`share.${result.status}`]));
}

/** Whether no workflow task failed, but for messages that came while a task was completing. */
export function hasNoFailedTask(history: History): boolean {
  // UNHANDLED_COMMAND
  return (history.events ?? []).every(
    ({ workflowTaskFailedEventAttributes: failed }) => failed == null || Number(failed.cause) === 1,
  );
}

async function endOf(handle: WorkflowHandle): Promise<EndedRun> {
  let result: OnboardingResult | null = null;
  try {
    result = (await handle.result()) as OnboardingResult;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
  }
  const [description, view, history] = await Promise.all([
    handle.describe(),
    handle.query<OnboardingView>(ONBOARDING_STATUS_QUERY),
    handle.fetchHistory(),
  ]);
  return {
    result,
    state: description.status.name,
    searchAttribute: description.typedSearchAttributes.get(HANDOFF_STATUS),
    view,
    history,
    closedAt: description.closeTime?.getTime() ?? Number.NaN,
  };
}

async function signalIfRunning(handle: WorkflowHandle, signal: string, rowId: string): Promise<void> {
  try {
    await handle.signal(signal, rowId);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

async function startLabWorkers(
  env: TestWorkflowEnvironment,
  options: Pick<WorkerOptions, 'maxCachedWorkflows'>,
  fakes: Pick<WorkflowLab, 'attemptDelivery' | 'imports' | 'fetches'> & { shares: ReadonlyMap<string, FakeShare> },
): Promise<() => Promise<void>> {
  const { shares, attemptDelivery, imports, fetches } = fakes;
  const attempts = new Map<string, number>();
  const of = ({ tokenId }: TokenRef): FakeShare['activities'] => {
    const share = shares.get(tokenId);
    if (share === undefined) throw new Error('no share of this test file');
    return share.activities;
  };
  const steps = ({ importId }: { importId: string }): SessionImportActivities => {
    const found = imports.get(importId);
    if (found === undefined) throw new Error('no import of this test file');
    return found;
  };
  const onboarding: Omit<FakeShare['activities'], 'deliverShareToken'> & SessionImportActivities = {
    importPart: (ref) => steps(ref).importPart(ref),
    endImport: (ref) => steps(ref).endImport(ref),
    mintShareToken: (ref) => of(ref).mintShareToken(ref),
    importSharedSession: (ref) => of(ref).importSharedSession(ref),
    notifyParties: (ref) => of(ref).notifyParties(ref),
    lookAtShareToken: (ref) => of(ref).lookAtShareToken(ref),
    closeShareToken: (ref) => of(ref).closeShareToken(ref),
  };
  const webhooks = {
    deliverShareToken: (ref: TokenRef) => of(ref).deliverShareToken(ref),
    attemptDelivery: async ({ deliveryId }: { deliveryId: string }) => {
      const attempt = (attempts.get(deliveryId) ?? 0) + 1;
      attempts.set(deliveryId, attempt);
      const answer = attemptDelivery.get(deliveryId);
      if (answer === undefined) throw new Error('no delivery of this test file');
      return answer(attempt);
    },
    fetchSessionFiles: async ({ sessionId }: { sessionId: string }) => {
      const round = (attempts.get(sessionId) ?? 0) + 1;
      attempts.set(sessionId, round);
      const answer = fetches.get(sessionId);
      if (answer === undefined) throw new Error('no session of this test file');
      return answer(round);
    },
  };
  const common = {
    ...options,
    connection: env.nativeConnection,
    namespace: env.namespace ?? 'default',
    identity: 'test',
    workflowBundle: { codePath: inject('bundlePath') },
    // A test that failed may have left an activity that never ends.
    shutdownForceTime: '5s',
  };
  const workers = await Promise.all([
    Worker.create({ ...common, taskQueue: TASK_QUEUES.onboarding, activities: onboarding }),
    Worker.create({ ...common, taskQueue: TASK_QUEUES.webhooks, activities: webhooks }),
  ]);
  const running = Promise.all(workers.map((worker) => worker.run()));
  return async () => {
    for (const worker of workers) worker.shutdown();
    await running;
  };
}
