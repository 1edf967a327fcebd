import { startBareWorkflows, type BareWorkflows } from '../bare-workflow/bare.ts';
import { cpuMs } from '../cpu.ts';
import { figuresOf, race, type Findings, type Part } from '../frame.ts';
import type { Rate } from '../in-flight.ts';
import { amount, type Lab } from '../lab.ts';
import { startOnboardingStack, type OnboardingStack } from '../onboarding/stack.ts';

const IN_FLIGHT = 50;

/** A rate, and what each of it cost: processor time in milliseconds, this process (load and counterparts) left out. */
type Costed = Rate & Readonly<Record<'temporalCpuMs' | 'postgresCpuMs' | 'nodeCpuMs', number>>;

/** Part b: a whole onboarding against a bare workflow. */
export const onboarding: Part = {
  name: 'onboarding',
  shows: 'b. a full onboarding against a bare workflow with four no-op activities on the same Temporal server',
  run: async (lab) => {
    const stack = await startOnboardingStack(lab);
    return measureOnboarding(lab, stack, await startBareWorkflows(lab, stack.temporal));
  },
};

/** Lets acknowledged onboardings, automatic ones and the bare workflow take turns, many at a time and one by one. */
export async function measureOnboarding(lab: Lab, stack: OnboardingStack, bare: BareWorkflows): Promise<Findings> {
  const [postgres, temporal] = await Promise.all([lab.servers.postgres(), lab.servers.temporal()]);
  const nodes = [...Object.values(stack.processes), ...bare.workers];
  const costed = async (count: number, work: () => Promise<Rate>): Promise<Costed> => {
    const used = () => ({
      temporalCpuMs: cpuMs(temporal.pid) / count,
      postgresCpuMs: cpuMs(postgres.pid) / count,
      nodeCpuMs: nodes.reduce((sum, { pid }) => sum + cpuMs(pid), 0) / count,
    });
    const before = used();
    const rate = await work();
    const after = used();
    return {
      ...rate,
      temporalCpuMs: after.temporalCpuMs - before.temporalCpuMs,
      postgresCpuMs: after.postgresCpuMs - before.postgresCpuMs,
      nodeCpuMs: after.nodeCpuMs - before.nodeCpuMs,
    };
  };
  const handOver = async (acceptance: 'acknowledge' | 'automatic', count: number, atATime: number) => {
    const orders = await stack.orders(acceptance, count);
    return costed(count, () => stack.load(orders, atATime));
  };

  const many = amount(lab, { full: 600, quick: 200 });
  const few = amount(lab, { full: 60, quick: 20 });
  // Code is compiled, connections are made, statements are planned.
  const first = amount(lab, { full: 200, quick: 100 });
  await handOver('acknowledge', first, IN_FLIGHT);
  await handOver('automatic', first, IN_FLIGHT);
  await bare.load(first, IN_FLIGHT);

  const contenders = {
    acknowledged: () => handOver('acknowledge', many, IN_FLIGHT),
    automatic: () => handOver('automatic', many, IN_FLIGHT),
    bare: () => costed(many, () => bare.load(many, IN_FLIGHT)),
    acknowledgedAlone: () => handOver('acknowledge', few, 1),
    bareAlone: () => costed(few, () => bare.load(few, 1)),
  };
  const rounds = await race<keyof typeof contenders, Costed>(lab, contenders);
  const samplesOf = (name: keyof typeof contenders) => rounds.map((round) => round[name]);
  return {
    ratios: {
      onboarding_vs_bare: rounds.map((round) => round.acknowledged.perSecond / round.bare.perSecond),
      automatic_vs_bare: rounds.map((round) => round.automatic.perSecond / round.bare.perSecond),
      onboarding_latency_vs_bare: rounds.map((round) => round.acknowledgedAlone.p50Ms / round.bareAlone.p50Ms),
    },
    figures: {
      ...figuresOf('onboarding', samplesOf('acknowledged')),
      ...figuresOf('automatic', samplesOf('automatic')),
      ...figuresOf('bare', samplesOf('bare')),
      ...figuresOf('onboarding_alone', samplesOf('acknowledgedAlone')),
      ...figuresOf('bare_alone', samplesOf('bareAlone')),
    },
  };
}
