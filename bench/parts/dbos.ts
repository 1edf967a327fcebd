import { startDbosStack } from '../dbos/stack.ts';
import { figuresOf, race, type Findings, type Part } from '../frame.ts';
import type { Rate } from '../in-flight.ts';
import { amount, type Lab } from '../lab.ts';
import { startOnboardingStack, type OnboardingBrands } from '../onboarding/stack.ts';

const IN_FLIGHT = 50;

/** Part c: our onboarding against the same one on DBOS, with the same SQL and the same sender on the same Postgres. */
export const dbos: Part = {
  name: 'dbos',
  shows: 'c. a full onboarding against the same one written on DBOS, with the same SQL and the same sender',
  run: async (lab) => {
    const stacks = { onboarding: await startOnboardingStack(lab), dbos: await startDbosStack(lab) };
    return measureDbos(lab, stacks);
  },
};

/** Lets both take turns. */
export async function measureDbos(
  lab: Lab,
  stacks: Readonly<Record<'onboarding' | 'dbos', OnboardingBrands>>,
): Promise<Findings> {
  const many = amount(lab, { full: 600, quick: 150 });
  const first = amount(lab, { full: 200, quick: 100 });
  const turn = (name: keyof typeof stacks, count: number) => async () =>
    stacks[name].load(await stacks[name].orders('acknowledge', count), IN_FLIGHT);
  await turn('onboarding', first)();
  await turn('dbos', first)();
  const rounds = await race<keyof typeof stacks, Rate>(lab, {
    onboarding: turn('onboarding', many),
    dbos: turn('dbos', many),
  });
  return {
    ratios: { onboarding_vs_dbos: rounds.map((round) => round.onboarding.perSecond / round.dbos.perSecond) },
    figures: {
      ...figuresOf(
        'onboarding_beside_dbos',
        rounds.map((round) => round.onboarding),
      ),
      ...figuresOf(
        'dbos',
        rounds.map((round) => round.dbos),
      ),
    },
  };
}
