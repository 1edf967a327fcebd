import { setTimeout as pause } from 'node:timers/promises';
import { createNamespace } from '../../test/support/namespace.ts';
import type { OwnProcess } from '../../test/support/worker-process.ts';
import { percentile, type Findings } from '../frame.ts';
import { inFlight } from '../in-flight.ts';
import { amount, startWorker, type Lab } from '../lab.ts';
import { databaseTime, startOnboardingStack, type OnboardingStack } from '../onboarding/stack.ts';
import { killSenders } from './killed-sender.ts';

/** Onboardings under way when the worker is killed. */
const UNDER_WAY = 20;
const MOST_TRIES = 5;

/** An onboarding worker that was killed while another one ran, or the only one, which is started again at once. */
const SITUATIONS = ['another', 'only'] as const;
type Situation = (typeof SITUATIONS)[number];

/** A stack, and the onboarding worker that runs in it now. */
interface Mortal {
  readonly stack: OnboardingStack;
  worker: OwnProcess;
}

/** Of one round, for each that was under way: the seconds from the kill until it got on. */
type Round = Readonly<Record<Situation | 'webhooks', readonly number[]>>;

/**
 * SIGKILL for a worker in the middle of onboardings, and the time until they get on: once for each situation and round. All
 * situations at once, as most of it is waiting: each but the first in a stack and a namespace of its own.
 */
export async function measureRecovery(lab: Lab, stack: OnboardingStack): Promise<Findings> {
  const { address } = await lab.servers.temporal();
  const anotherStack = async () => startOnboardingStack(lab, await createNamespace(address));
  const [second, third] = await Promise.all([anotherStack(), anotherStack()]);
  const both = killOnboardingWorkers(lab, {
    another: { stack, worker: stack.processes.onboarding },
    only: { stack: second, worker: second.processes.onboarding },
  });
  const senders = killSenders(lab, third);
  // Both to their ends, also when one breaks: the other would start workers while all is cleared away.
  await Promise.allSettled([both, senders]);
  const webhooks = await senders;
  const rounds = (await both).map((round, at): Round => ({ ...round, webhooks: webhooks[at] ?? [] }));
  const figures: Record<string, number[]> = {};
  for (const [at, round] of rounds.entries()) {
    for (const [situation, seconds] of Object.entries(round)) {
      const figure = (name: string, value: number) => (figures[`recovery_${situation}_${name}`] ??= []).push(value);
      figure('p50S', percentile(seconds, 0.5));
      figure('maxS', Math.max(...seconds));
      figure('underWay', seconds.length);
      lab.say(`round ${at + 1} of ${lab.rounds}, ${situation}: ${seconds.length} under way, ${Math.max(...seconds)} s`);
    }
  }
  return { ratios: { recovery_seconds: rounds.map((round) => Math.max(...Object.values(round).flat())) }, figures };
}

async function killOnboardingWorkers(
  lab: Lab,
  mortals: Readonly<Record<Situation, Mortal>>,
): Promise<Record<Situation, number[]>[]> {
  const count = amount(lab, { full: 150, quick: 50 });
  const rounds: Record<Situation, number[]>[] = [];
  for (let round = 1; round <= lab.rounds; round += 1) {
    const kills = SITUATIONS.map((situation) => recoverySeconds(lab, mortals[situation], situation, count));
    await Promise.allSettled(kills);
    const [another = [], only = []] = await Promise.all(kills);
    rounds.push({ another, only });
  }
  return rounds;
}

/** Kills the worker until it had something under way; tells for each such onboarding the seconds until its run got on. */
async function recoverySeconds(lab: Lab, mortal: Mortal, situation: Situation, count: number): Promise<number[]> {
  // Few onboardings may all have been done with the worker already.
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    const seconds = await killAndWait(lab, mortal, situation, count);
    if (seconds.length > 0) return seconds;
  }
  throw new Error('no onboarding was under way when the worker was killed');
}

async function killAndWait(lab: Lab, mortal: Mortal, situation: Situation, count: number): Promise<number[]> {
  const { stack, worker } = mortal;
  const orders = await stack.orders('acknowledge', count);
  const other = situation === 'another' ? await startWorker(lab, 'onboarding', stack.env) : undefined;
  const underWay = new Set<string>();
  const tokenIds: string[] = [];
  const all = inFlight(orders, UNDER_WAY, async (order) => {
    const tokenId = await stack.counterparts.onboard(order, (opened) => underWay.add(opened));
    underWay.delete(tokenId);
    tokenIds.push(tokenId);
  });
  // Some have ended by then, so that those under way are in every state.
  while (tokenIds.length < Math.min(UNDER_WAY, orders.length / 3)) await Promise.race([all, pause(20)]);
  process.kill(worker.pid, 'SIGKILL');
  const tokens = [...underWay];
  const killedAt = await databaseTime(stack);
  await worker.kill();
  const [next, timing] = await Promise.all([other ?? startWorker(lab, 'onboarding', stack.env), all]);
  mortal.worker = next;
  await stack.settled({ ...timing, tokenIds });
  return secondsToProgress(stack, tokens, killedAt);
}

/** Seconds from the kill to the next step that the run's own worker took; one without any left to take is left out. */
async function secondsToProgress(
  { database }: OnboardingStack,
  tokens: readonly string[],
  killedAt: string,
): Promise<number[]> {
  const { rows } = await database.pool.query<{ seconds: number }>(
    `select extract(epoch from min(finished_at) - $2::timestamptz)::float8 as seconds from onboarding_step
     where token_id = any ($1::uuid[]) and step in ('mint', 'import', 'notify') and finished_at > $2::timestamptz
     group by token_id`,
    [tokens, killedAt],
  );
  return rows.map(({ seconds }) => seconds);
}
