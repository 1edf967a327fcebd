import type { OnboardingActivities } from '../workflows/activity-types.ts';
import { closeActivities } from './close.ts';
import { importActivity } from './import.ts';
import { mintActivity } from './mint.ts';
import { notifyActivity } from './notify.ts';
import type { OnboardingDependencies } from './ports.ts';
import { translating } from './translate-failure.ts';

/** Every database step of an onboarding, for the onboarding worker. */
export function onboardingActivities(deps: OnboardingDependencies): OnboardingActivities {
  return translating<OnboardingActivities>(
    { ...mintActivity(deps), ...importActivity(deps), ...closeActivities(deps), ...notifyActivity(deps) },
    deps.onFault,
  );
}
