import type { ShareAnswer } from '../domain/onboarding.ts';
import type { ShareFacts } from './ports.ts';

/**
 * The one answer about a token (`semantics.md`): what every look and every conditional close returns.
 * A redemption stands above all; an unspent acknowledgement outlives `exp`, nothing else does.
 */
export function answerOf(facts: ShareFacts): ShareAnswer {
  if (facts.redeemedSessionId !== null) return { state: 'redeemed', sessionId: facts.redeemedSessionId };
  const { token, onboarding } = facts;
  if (token === null) {
    if (onboarding?.ended !== true) return { state: 'minting' };
    return closedAnswer(onboarding.status, onboarding.reason);
  }
  if (token.closedAs !== null) return closedAnswer(token.closedAs, token.closedReason);
  if (facts.acknowledgement !== null) {
    return { state: 'acknowledged', acknowledgementId: facts.acknowledgement.acknowledgementId };
  }
  return token.expired ? { state: 'expired' } : { state: 'open', remainingMs: token.remainingMs };
}

function closedAnswer(as: string, reason: string | null): ShareAnswer {
  switch (as) {
    case 'refused':
    case 'expired':
      return { state: as };
    case 'revoked':
      return { state: 'revoked', reason };
    case 'undeliverable':
    case 'rejected':
      return { state: 'closed', as, reason: reason ?? 'unknown' };
    default:
      throw new Error(`no answer for a token that ended as ${as}`);
  }
}
