import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { SIGNALS } from '../../src/domain/temporal-names.ts';
import type { HandoffClient } from '../../src/client.ts';
import type { Brand } from '../../test/support/brands.ts';
import { same, within, type Part } from '../../torture/part.ts';
import { inFlight } from './in-flight.ts';
import { inLab } from './in-lab.ts';
import { clientOf, openLabStack, startLabWorkers, type LabStack } from './lab-stack.ts';

const DUPLICATES = 1_000;
/** Signals that are under way at once. */
const AT_ONCE = 50;
const MOST_EVENTS = 5_000;
const PATIENCE_MS = 180_000;
/**
 * Causes of failed workflow tasks that a flood of signals brings by itself: one came while the run decided, or the server
 * had too many to keep aside. The task is done again.
 */
const BY_THE_FLOOD = new Set([1, 17]);

const signals: Part = {
  name: 'signals',
  shows: 'signals that come too early, a thousand times and too late: one effect, and a history that stays short',
  run: async (lab) => {
    const temporal = await lab.servers.temporalAddress();
    const stack = await openLabStack(lab, { servers: 1, settings: { TEMPORAL_ADDRESS: temporal } });
    await startLabWorkers(lab, stack.env);
    const client = clientOf(lab, temporal);
    const { brands } = stack;
    const [issuer, partner] = [await brands.add(), await brands.add()];
    const total = { imports: 0, told: 0, late: 0 };
    const words = new Set<string>();
    const [events, failedTasks]: [number[], number[]] = [[], []];
    const rounds = lab.quick ? 1 : 5;
    for (let round = 1; round <= rounds; round += 1) {
      const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
      await until(client, tokenId, async () => (await client.queryOnboarding(tokenId)).status === 'waiting');
      lab.say(`F14: ${DUPLICATES} signals that nothing stands behind, round ${round}`);
      await flood(client, tokenId);
      // Nobody has said a word: none of it may have imported anything.
      total.imports += await importsOf(stack, tokenId);
      for (const answer of await acknowledgeOften(stack, partner, tokenId)) words.add(answer);
      await until(client, tokenId, async () => (await client.describeOnboarding(tokenId)) === 'completed');
      total.late += await signalLate(client, tokenId);
      total.imports += await importsOf(stack, tokenId);
      total.told += await toldOfImport(stack, issuer, tokenId);
      const history = (await client.temporal.workflow.getHandle(tokenId).fetchHistory()).events ?? [];
      events.push(history.length);
      failedTasks.push(history.filter(failedByUs).length);
    }
    return [
      same('imports, of each onboarding one', total.imports, rounds),
      same('share.imported, of each onboarding one', total.told, rounds),
      {
        what: `answers to the same word, said ${WORDS} times at once`,
        expected: `200, or ${TOO_LATE}`,
        seen: [...words].join(', '),
        ok: words.has('200') && [...words].every((answer) => answer === '200' || answer === TOO_LATE),
      },
      same('signals after the end, all refused', total.late, rounds * AT_ONCE),
      within('events of the longest history', Math.max(...events), [1, MOST_EVENTS - 1]),
      same('workflow tasks that failed by our code', Math.max(...failedTasks), 0),
    ];
  },
};

/** Duplicate, late and out-of-order signals. */
export const spuriousSignals = inLab(
  { id: 'F14', what: '1,000 signals that are early, double or late, on a live onboarding: one effect' },
  signals,
);

/** Every kind of signal, in turn: half with the same id, half with one that no row has. */
async function flood(client: HandoffClient, tokenId: string): Promise<void> {
  const kinds = [SIGNALS.tokenRedeemed, SIGNALS.partnerAcknowledged, SIGNALS.tokenRevoked];
  const same = randomUUID();
  await inFlight(AT_ONCE, DUPLICATES, async (nth) => {
    await client.signalOnboarding(
      tokenId,
      kinds[nth % kinds.length] ?? 'tokenRedeemed',
      nth % 2 === 0 ? same : randomUUID(),
    );
  });
}

const WORDS = 20;
/** The import that the first of them brought about is done already. */
const TOO_LATE = '409 onboarding_ended';

/** The same word, said many times at once: the status of each answer, with the code of a refusal. */
async function acknowledgeOften({ brands }: LabStack, partner: Brand, tokenId: string): Promise<string[]> {
  return inFlight(WORDS, WORDS, async () => {
    const { status, body } = await brands.acknowledge(partner, tokenId);
    return status === 200 ? '200' : `${status} ${String(body['code'])}`;
  });
}

function failedByUs({ workflowTaskFailedEventAttributes: failed }: NonNullable<History['events']>[number]): boolean {
  return failed !== null && failed !== undefined && !BY_THE_FLOOD.has(Number(failed.cause));
}

/** How many signals to a run that is over were refused as such. */
async function signalLate({ temporal }: HandoffClient, tokenId: string): Promise<number> {
  const handle = temporal.workflow.getHandle(tokenId);
  const refused = await inFlight(AT_ONCE, AT_ONCE, () =>
    handle.signal(SIGNALS.partnerAcknowledged, randomUUID()).then(
      () => false,
      (error: unknown) => error instanceof WorkflowNotFoundError,
    ),
  );
  return refused.filter(Boolean).length;
}

async function importsOf({ database }: LabStack, tokenId: string): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>(
    `select greatest((select count(*) from redemption where token_id = $1),
       (select count(*) from session_provenance where token_id = $1))::int as count`,
    [tokenId],
  );
  return rows[0]?.count ?? Number.NaN;
}

async function toldOfImport({ database }: LabStack, issuer: Brand, tokenId: string): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>(
    `select count(*)::int as count from event where token_id = $1 and application_id = $2 and type = 'share.imported'`,
    [tokenId, issuer.id],
  );
  return rows[0]?.count ?? Number.NaN;
}

/** What a run waits for, and how often its workflow task was tried, as Temporal has it. */
async function standing({ temporal }: HandoffClient, tokenId: string): Promise<string> {
  const handle = temporal.workflow.getHandle(tokenId);
  const { raw } = await handle.describe();
  const events = (await handle.fetchHistory()).events ?? [];
  return JSON.stringify({
    pendingWorkflowTask: raw.pendingWorkflowTask,
    pendingActivities: raw.pendingActivities?.length,
    events: events.length,
    last: events.slice(-6).map(({ eventType, eventTime }) => [eventType, eventTime]),
  });
}

/** @throws Error after {@link PATIENCE_MS}, with what is found instead */
async function until(client: HandoffClient, tokenId: string, there: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  // A run that was not started yet is not there.
  while (!(await there().catch(() => false))) {
    if (Date.now() > deadline) {
      throw new Error(
        `it did not come to pass in ${PATIENCE_MS / 1_000} s: ${await standing(client, tokenId).catch(String)}`,
      );
    }
    await pause(50);
  }
}
