import { activityInfo } from '@temporalio/activity';
import { spendAcknowledgement } from '../sharing/close.ts';
import { importForOnboarding, RefusedImport } from '../sharing/redeem.ts';
import { importWithKeys } from '../sharing/share-keys.ts';
import type { OnboardingActivities } from '../workflows/activity-types.ts';
import type { OnboardingDependencies } from './ports.ts';

/** The import step. A refusal spends the acknowledgement in a transaction of its own, so that expiry works again. */
export function importActivity(deps: OnboardingDependencies): Pick<OnboardingActivities, 'importSharedSession'> {
  return {
    importSharedSession: async ({ tokenId }) => {
      try {
        return await importWithKeys(
          () => deps.redeemTransaction((tx) => importForOnboarding(tx, tokenId, activityInfo().attempt, deps.style)),
          (work) => deps.onboardingTransaction(work),
        );
      } catch (error) {
        if (error instanceof RefusedImport) {
          const { code, field, acknowledgementId } = error;
          const why = { code, field: field ?? null, acknowledgementId };
          await deps.onboardingTransaction((tx) =>
            spendAcknowledgement(tx, tokenId, why, { kind: 'onboarding', id: tokenId }),
          );
        }
        throw error;
      }
    },
  };
}
