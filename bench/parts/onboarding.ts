import { startBareWorkflows, type BareWorkflows } from '../bare-workflow/bare.ts';
import { withCpu } from '../cpu.ts';
import { startDbosStack, type DbosStack } from '../dbos/stack.ts';
import { figuresOfRounds, race, type Contender, type Findings, type Part, type Round, type Sample } from '../frame.ts';
import { rateOf, type Timing } from '../in-flight.ts';
import { amount, type Lab } from '../lab.ts';
import type { Acceptance } from '../onboarding/brands.ts';
import { startOnboardingStack, type OnboardingStack } from '../onboarding/stack.ts';
import { measureRecovery } from './recovery.ts';

const IN_FLIGHT = 50;

/** Parts b, c and f: a whole onboarding against a bare workflow, against one on DBOS, and after a worker was killed. */
export const onboarding: Part = {
  name: 'onboarding',
  shows: 'a full onboarding against a bare workflow with four no-op activities on the same Temporal server',
  run: measureAll,
};

export const dbos: Part = {
  name: 'dbos',
  shows: 'a full onboarding against the same one written on DBOS, with the same SQL and the same sender',
  run: measureAll,
};

export const recovery: Part = {
  name: 'recovery',
  shows: 'time from a killed worker to the next progress of the onboardings under way',
  run: measureAll,
};

async function measureAll(lab: Lab, asked: ReadonlySet<string>): Promise<Findings> {
  const stack = await startOnboardingStack(lab);
  const [bare, onDbos] = await Promise.all([
    asked.has(onboarding.name) ? startBareWorkflows(lab, stack.temporal) : null,
    asked.has(dbos.name) ? startDbosStack(lab) : null,
  ]);
  const raced = bare === null && onDbos === null ? null : await measureOnboardings(lab, stack, { bare, dbos: onDbos });
  const recovered = asked.has(recovery.name) ? await measureRecovery(lab, stack) : null;
  return {
    ratios: { ...raced?.ratios, ...recovered?.ratios },
    figures: { ...raced?.figures, ...recovered?.figures },
  };
}

/** What onboardings are compared with. */
export interface Others {
  readonly bare: BareWorkflows | null;
  readonly dbos: DbosStack | null;
}

/**
 * Lets acknowledged onboardings take turns with the others: many at a time, and beside the bare workflow also automatic
 * ones, and one by one. Each turn's figures hold the processor time of every process that had a part in it, for one
 * onboarding or workflow.
 */
export async function measureOnboardings(lab: Lab, stack: OnboardingStack, { bare, dbos }: Others): Promise<Findings> {
  const [postgres, temporal] = await Promise.all([lab.servers.postgres(), lab.servers.temporal()]);
  const servers = { postgres: [postgres.pid], temporal: [temporal.pid] };
  const { server, onboarding: steps, webhooks } = stack.processes;
  const ours = { ...servers, server: [server.pid], onboardingWorker: [steps.pid], webhooksWorker: [webhooks.pid] };
  // What an earlier turn left to be done would burden the next one's time; so would what orders leave.
  const atRest = () => Promise.all([stack.atRest(), dbos?.atRest()]);
  const handOver = (acceptance: Acceptance, count: number, atATime: number) => async () => {
    const orders = await stack.orders(acceptance, count);
    await atRest();
    return costed(ours, count, () => stack.onboard(orders, atATime), stack.settled);
  };
  const many = amount(lab, { full: 600, quick: 80 });
  const few = amount(lab, { full: 60, quick: 10 });
  // Code is compiled, connections are made, statements are planned.
  const first = amount(lab, { full: 200, quick: 40 });
  const contenders: Record<string, Contender> = {};
  const warmUps: Contender[] = [handOver('acknowledge', first, IN_FLIGHT)];
  if (dbos !== null) {
    const { server, sender } = dbos.processes;
    const processes = { postgres: [postgres.pid], server: [server], sender: [sender] };
    const onDbos = (count: number) => async () => {
      const orders = await dbos.orders('acknowledge', count);
      await atRest();
      return costed(processes, count, () => dbos.onboard(orders, IN_FLIGHT), dbos.settled);
    };
    contenders['dbos'] = onDbos(many);
    warmUps.push(onDbos(first));
  }
  contenders['onboarding'] = handOver('acknowledge', many, IN_FLIGHT);
  if (bare !== null) {
    const workers = bare.workers.map(({ pid }) => pid);
    const run = (count: number, atATime: number) => async () => {
      await atRest();
      return costed({ ...servers, workers }, count, () => bare.run(count, atATime));
    };
    contenders['bare'] = run(many, IN_FLIGHT);
    contenders['automatic'] = handOver('automatic', many, IN_FLIGHT);
    contenders['onboarding_alone'] = handOver('acknowledge', few, 1);
    contenders['bare_alone'] = run(few, 1);
    warmUps.push(handOver('automatic', first, IN_FLIGHT), run(first, IN_FLIGHT));
  }
  for (const warmUp of warmUps) await warmUp();
  lab.say('all are warm');
  const rounds = await race(lab, contenders);
  const ratio = (figure: string, [one, other]: readonly [string, string]) =>
    rounds.map((round) => figureOf(round, one, figure) / figureOf(round, other, figure));
  return {
    ratios: {
      ...(bare !== null && {
        onboarding_vs_bare: ratio('perSecond', ['onboarding', 'bare']),
        automatic_vs_bare: ratio('perSecond', ['automatic', 'bare']),
        onboarding_latency_vs_bare: ratio('p50Ms', ['onboarding_alone', 'bare_alone']),
      }),
      ...(dbos !== null && { onboarding_vs_dbos: ratio('perSecond', ['onboarding', 'dbos']) }),
    },
    figures: figuresOfRounds(null, rounds),
  };
}

const figureOf = (round: Round, name: string, figure: string): number => round[name]?.[figure] ?? Number.NaN;

/** How fast it went, and what each of it cost in milliseconds of processor time: all processes together, and each of them. */
async function costed<Done extends Timing>(
  processes: Readonly<Record<string, readonly number[]>>,
  count: number,
  work: () => Promise<Done>,
  settled?: (done: Done) => Promise<void>,
): Promise<Sample> {
  const { result, cpu } = await withCpu(processes, work);
  await settled?.(result);
  const each = Object.entries(cpu).map(([name, ms]): [string, number] => [`${name}CpuMs`, ms / count]);
  return { ...rateOf(result), cpuMs: each.reduce((sum, [, ms]) => sum + ms, 0), ...Object.fromEntries(each) };
}
