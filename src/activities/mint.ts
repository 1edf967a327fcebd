import { activityInfo } from '@temporalio/activity';
import { mintForOnboarding } from '../sharing/mint.ts';
import type { OnboardingActivities } from '../workflows/activity-types.ts';
import type { OnboardingDependencies } from './ports.ts';

/** The mint step: the token's row, in one transaction with its event. */
export function mintActivity(deps: OnboardingDependencies): Pick<OnboardingActivities, 'mintShareToken'> {
  return {
    mintShareToken: ({ tokenId }) =>
      deps.onboardingTransaction((tx) => mintForOnboarding(tx, tokenId, activityInfo().attempt)),
  };
}
