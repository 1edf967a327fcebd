import type { DecisionStyle } from '../sharing/decision.ts';
import type { HandoffTransaction } from '../sharing/ports.ts';

/** What the database activities need: transactions of a run, which crosses both its applications. */
export interface OnboardingDependencies {
  /** Runs `work` in one transaction of an onboarding. */
  onboardingTransaction<T>(work: (tx: HandoffTransaction) => Promise<T>): Promise<T>;
  /** Makes the deliveries of this token's events due, ends the notify step, and wakes the sender. */
  dispatchEvents(tokenId: string, attempt: number): Promise<void>;
  /** Told of a failure that is no refusal: Temporal keeps its kind alone. */
  readonly onFault: (activity: string, error: unknown) => void;
  readonly style: DecisionStyle;
}
