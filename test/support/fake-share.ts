import { randomUUID } from 'node:crypto';
import { activityInfo, ApplicationFailure } from '@temporalio/activity';
import { deliverActivity } from '../../src/activities/deliver.ts';
import { onboardingActivities } from '../../src/activities/onboarding-activities.ts';
import { translating } from '../../src/activities/translate-failure.ts';
import type { CloseRequest } from '../../src/domain/onboarding.ts';
import { acknowledgeOnboarding } from '../../src/sharing/acknowledge.ts';
import type { HandoffTransaction, ImportChoice } from '../../src/sharing/ports.ts';
import { redeemShareToken } from '../../src/sharing/redeem.ts';
import { revokeOnboarding } from '../../src/sharing/revoke.ts';
import type { OnboardingActivities, TokenRef, WebhookActivities } from '../../src/workflows/activity-types.ts';
import { fakeLedger, fakeNetwork, type Destination, type SeenAttempt } from './fake-destinations.ts';
import {
  ISSUER,
  KID,
  newShareRows,
  PARTNER,
  shareTransaction,
  type ShareRows,
  type ShareWorld,
  type SignalWish,
} from './fake-share-rows.ts';

/** What one call of an activity meets. */
export interface StepCall {
  /** `mint`, `deliver`, `import`, `look`, `close <ending>` or `notify`. */
  readonly step: string;
  /** 1 for the first call of this step that the share saw, however it ended. */
  readonly nth: number;
  readonly isLocal: boolean;
  /** Milliseconds, on the share's clock. */
  readonly now: number;
}

/**
 * A fault of ours: `down` fails before anything happened, `answer_lost` after the commit. Both can be tried again;
 * `down_for_now` gives up a local activity at once, whose retries take real time, and lets a regular one retry.
 */
export type Fault = 'down' | 'down_for_now' | 'answer_lost';

export interface FakeShareOptions {
  /** Seconds; default one hour. */
  readonly ttlSeconds?: number;
  readonly world?: Partial<ShareWorld>;
  /** Default: one destination that answers 200. */
  readonly destinations?: readonly Destination[];
  /** Whether an onboarding row exists; default yes. */
  readonly known?: boolean;
}

/** What a share needs of the test's Temporal. */
export interface Surroundings {
  /** The run's clock, in milliseconds. */
  readonly clock: () => Promise<number>;
  /** Delivers a signal to the share's run; one that nobody takes is lost. */
  readonly signal: (tokenId: string, wish: SignalWish) => Promise<void>;
}

/**
 * One share in memory. Its rules are those of `src/sharing` and `src/activities`, so that it answers what Postgres
 * would answer; only storage, network and clock are made up, and the clock is the run's own.
 */
export interface FakeShare {
  readonly tokenId: string;
  /** Changes what surrounds the share, at any time. */
  readonly world: ShareWorld;
  readonly rows: () => ShareRows;
  /** Calls of activities that took effect, in order, the deliveries left out. */
  readonly steps: string[];
  /** Every attempt that a destination saw. */
  readonly attempts: SeenAttempt[];
  /** Types of the events written, in order. */
  readonly events: () => string[];
  /** Decides which calls of activities meet a fault. */
  fault: (call: StepCall) => Fault | undefined | Promise<Fault | undefined>;
  /** How far the database's clock is ahead of the run's, in milliseconds. */
  clockOffsetMs: number;
  /** Set to false to lose the signals of the verbs. */
  signals: boolean;
  /** The partner's word; resolves when the run has been told. */
  readonly acknowledge: (choice?: ImportChoice) => Promise<void>;
  readonly refuse: () => Promise<void>;
  /** The issuer takes the share back. */
  readonly revoke: () => Promise<void>;
  /** The partner's own import call; resolves to its new session's id. */
  readonly redeem: () => Promise<string>;
  readonly activities: OnboardingActivities & Pick<WebhookActivities, 'deliverShareToken'>;
}

const STYLE = { businessStatusCase: 'upper' } as const;

export function fakeShare(around: Surroundings, options: FakeShareOptions = {}): FakeShare {
  const tokenId = randomUUID();
  const world: ShareWorld = {
    sessionStatus: 'Approved',
    acceptance: 'acknowledge',
    suspended: false,
    defaultWorkflow: randomUUID(),
    importedByAnother: false,
    ...options.world,
  };
  const destinations = options.destinations ?? [() => 200];
  const clock = async () => (await around.clock()) + share.clockOffsetMs;
  let rows = newShareRows(options.ttlSeconds ?? 3600);
  if (options.known === false) rows.onboarding = null;

  let queue: Promise<unknown> = Promise.resolve();
  /** One after the other, as the row locks would have it; a failed one leaves nothing behind. */
  function transaction<T>(work: (tx: HandoffTransaction) => Promise<T>): Promise<T> {
    const mine = queue.then(async () => {
      const before = structuredClone(rows);
      const wishes: SignalWish[] = [];
      try {
        const result = await work(shareTransaction(tokenId, rows, world, clock, wishes));
        return { result, wishes };
      } catch (error) {
        rows = before;
        throw error;
      }
    });
    queue = mine.catch(() => undefined);
    return mine.then(async ({ result, wishes }) => {
      if (share.signals) for (const wish of wishes) await around.signal(tokenId, wish);
      return result;
    });
  }

  const attempts: SeenAttempt[] = [];
  const ledger = fakeLedger(() => rows, destinations, transaction);
  const actor = { kind: 'api_key', id: null } as const;
  const answerPartner = (accept: boolean, choice: ImportChoice) =>
    transaction((tx) =>
      acknowledgeOnboarding(
        tx,
        {
          tokenId,
          partnerId: PARTNER,
          accept,
          choice,
          reason: null,
          bodySha256: Buffer.from(JSON.stringify([accept, choice])),
        },
        actor,
      ),
    );

  const share: FakeShare = {
    tokenId,
    world,
    rows: () => rows,
    steps: [],
    attempts,
    events: () => [...rows.events.values()],
    fault: () => undefined,
    clockOffsetMs: 0,
    signals: true,
    acknowledge: (choice = {}) => answerPartner(true, choice),
    refuse: () => answerPartner(false, {}),
    revoke: () => transaction((tx) => revokeOnboarding(tx, { tokenId, issuerId: ISSUER }, actor)),
    redeem: async () => {
      const call = { tokenId, kid: KID, partnerId: PARTNER, choice: {} };
      return (await transaction((tx) => redeemShareToken(tx, call, actor, STYLE))).sessionId;
    },
    activities: withFaults(
      {
        ...onboardingActivities({
          onboardingTransaction: transaction,
          redeemTransaction: transaction,
          dispatchEvents: () => Promise.resolve(),
          onFault: () => undefined,
          style: STYLE,
        }),
        ...translating(deliverActivity(ledger, fakeNetwork(destinations, attempts)), () => undefined),
      },
      (call) => share.fault(call),
      (step) => void share.steps.push(step),
      clock,
    ),
  };
  return share;
}

const STEPS: Readonly<Record<string, string>> = {
  mintShareToken: 'mint',
  deliverShareToken: 'deliver',
  importSharedSession: 'import',
  lookAtShareToken: 'look',
  closeShareToken: 'close',
  notifyParties: 'notify',
};

function withFaults<Activities extends object>(
  activities: Activities,
  faultOf: FakeShare['fault'],
  record: (step: string) => void,
  clock: () => Promise<number>,
): Activities {
  const calls = new Map<string, number>();
  const wrapped = Object.entries(activities as Record<string, (ref: object) => Promise<unknown>>).map(
    ([name, activity]) => {
      const call = async (ref: TokenRef & { request?: CloseRequest }) => {
        const step = [STEPS[name] ?? name, ref.request?.as ?? []].flat().join(' ');
        const nth = (calls.get(step) ?? 0) + 1;
        calls.set(step, nth);
        const { isLocal } = activityInfo();
        const fault = await faultOf({ step, nth, isLocal, now: await clock() });
        if (fault === 'down') throw unreachable(false);
        if (fault === 'down_for_now') throw unreachable(isLocal);
        const [outcome] = await Promise.allSettled([activity(ref)]);
        if (step !== 'deliver') record(step);
        if (fault === 'answer_lost') throw unreachable(false);
        if (outcome.status === 'rejected') throw outcome.reason;
        return outcome.value;
      };
      return [name, call] as const;
    },
  );
  return Object.fromEntries(wrapped) as unknown as Activities;
}

function unreachable(nonRetryable: boolean): ApplicationFailure {
  return ApplicationFailure.create({ type: 'technical', message: 'Error ECONNREFUSED', nonRetryable });
}
