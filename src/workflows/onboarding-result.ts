import type { Acceptance, OnboardingResult, OnboardingStatus, ShareAnswer } from '../domain/onboarding.ts';

/** Answer of the query `onboardingStatus`. */
export interface OnboardingView {
  readonly tokenId: string;
  readonly status: OnboardingStatus;
  /** ISO 8601; `null` until minted. */
  readonly expiresAt: string | null;
  readonly acceptance: Acceptance | null;
  /** Code of the last refused import, while the run waits for the partner to mend it. */
  readonly refusedWith: string | null;
}

/** The result of a run whose token ended so. An answer that is no ending is a fault of ours. */
export function resultOf(answer: ShareAnswer): OnboardingResult {
  switch (answer.state) {
    case 'redeemed':
      return { status: 'imported', reason: null, sessionId: answer.sessionId };
    case 'refused':
      return { status: 'refused', reason: 'refused_by_partner' };
    case 'revoked':
      return { status: 'revoked', reason: answer.reason };
    case 'expired':
      return { status: 'expired', reason: null };
    case 'closed':
      return { status: answer.as, reason: answer.reason };
    case 'minting':
    case 'open':
    case 'acknowledged':
      throw new Error(`a run does not end while its token is ${answer.state}`);
  }
}
