import { activityInfo } from '@temporalio/activity';
import type { OnboardingActivities } from '../workflows/activity-types.ts';
import type { OnboardingDependencies } from './ports.ts';

/** The notify step: hands the events to the sender and leaves; their retries never hold the run open. */
export function notifyActivity(deps: OnboardingDependencies): Pick<OnboardingActivities, 'notifyParties'> {
  return { notifyParties: ({ tokenId }) => deps.dispatchEvents(tokenId, activityInfo().attempt) };
}
