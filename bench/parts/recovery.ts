import { setTimeout as pause } from 'node:timers/promises';
import type { OwnProcess } from '../../test/support/worker-process.ts';
import { percentile, type Findings, type Part } from '../frame.ts';
import { inFlight } from '../in-flight.ts';
import { amount, startWorker, type Lab } from '../lab.ts';
import { startOnboardingStack, type OnboardingStack } from '../onboarding/stack.ts';

/** Onboardings under way when the worker is killed. */
const UNDER_WAY = 20;
const MOST_TRIES = 5;

/** A worker that was killed while another one ran, or the only one, which is started again at once. */
const SITUATIONS = ['another', 'only'] as const;
type Situation = (typeof SITUATIONS)[number];

/** Part f: SIGKILL for the onboarding worker in the middle of onboardings, and the time until they get on. */
export const recovery: Part = {
  name: 'recovery',
  shows: 'f. time from a killed onboarding worker to the next progress of the onboardings under way',
  run: async (lab) => measureRecovery(lab, await startOnboardingStack(lab)),
};

/** Kills the stack's onboarding worker once for each situation and round; another one runs in its place then. */
export async function measureRecovery(lab: Lab, stack: OnboardingStack): Promise<Findings> {
  const orders = amount(lab, { full: 150, quick: 60 });
  let worker: OwnProcess = stack.processes.onboarding;
  await stack.load(await stack.orders('acknowledge', orders), UNDER_WAY);
  const figures: Record<string, number[]> = { recovery_seconds: [] };
  for (let round = 1; round <= lab.rounds; round += 1) {
    const slowest: number[] = [];
    for (const situation of SITUATIONS) {
      let seconds: number[] = [];
      // Few onboardings may all have been done with the worker already.
      for (let tries = 1; seconds.length === 0; tries += 1) {
        if (tries > MOST_TRIES) throw new Error('no onboarding was under way when the worker was killed');
        ({ worker, seconds } = await killAndWait(lab, stack, worker, situation, orders));
      }
      const figure = (name: string, value: number) => (figures[`recovery_${situation}_${name}`] ??= []).push(value);
      figure('p50S', percentile(seconds, 0.5));
      figure('maxS', Math.max(...seconds));
      figure('underWay', seconds.length);
      slowest.push(Math.max(...seconds));
      lab.say(`round ${round} of ${lab.rounds}, ${situation}: ${seconds.length} under way, ${Math.max(...seconds)} s`);
    }
    figures['recovery_seconds']?.push(Math.max(...slowest));
  }
  return { ratios: {}, figures };
}

/** @returns the worker that runs then, and for each onboarding that was under way the seconds until its run got on */
async function killAndWait(
  lab: Lab,
  stack: OnboardingStack,
  worker: OwnProcess,
  situation: Situation,
  count: number,
): Promise<{ worker: OwnProcess; seconds: number[] }> {
  const orders = await stack.orders('acknowledge', count);
  const other = situation === 'another' ? await startWorker(lab, 'onboarding', stack.env) : undefined;
  const underWay = new Set<string>();
  let ended = 0;
  const all = inFlight(orders, UNDER_WAY, async (order) => {
    const tokenId = await stack.counterparts.onboard(order, (opened) => underWay.add(opened));
    await stack.temporal.workflow.result(tokenId);
    underWay.delete(tokenId);
    ended += 1;
  });
  // Some have ended by then, so that those under way are in every state.
  while (ended < Math.min(UNDER_WAY, orders.length / 3)) await Promise.race([all, pause(20)]);
  process.kill(worker.pid, 'SIGKILL');
  const tokens = [...underWay];
  const killedAt = await databaseTime(stack);
  await worker.kill();
  const [next] = await Promise.all([other ?? startWorker(lab, 'onboarding', stack.env), all]);
  return { worker: next, seconds: await secondsToProgress(stack, tokens, killedAt) };
}

async function databaseTime({ database }: OnboardingStack): Promise<string> {
  const { rows } = await database.pool.query<{ now: string }>('select clock_timestamp()::text as now');
  return rows[0]?.now ?? '';
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
