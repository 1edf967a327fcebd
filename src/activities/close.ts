import { closeShareToken, lookAtShareToken } from '../sharing/close.ts';
import type { OnboardingActivities } from '../workflows/activity-types.ts';
import type { OnboardingDependencies } from './ports.ts';

/** Asking how a token stands, and closing it if that is still possible. */
export function closeActivities(
  deps: OnboardingDependencies,
): Pick<OnboardingActivities, 'lookAtShareToken' | 'closeShareToken'> {
  return {
    lookAtShareToken: ({ tokenId }) => deps.onboardingTransaction((tx) => lookAtShareToken(tx, tokenId)),
    closeShareToken: ({ tokenId, request }) =>
      deps.onboardingTransaction((tx) => closeShareToken(tx, tokenId, request, { kind: 'onboarding', id: tokenId })),
  };
}
