import { isSuccess } from './caller.ts';
import type { Call } from './ledger.ts';
import { sessionInPath } from './refusals.ts';
import type { Stored, StoredOnboarding, StoredRedemption } from './stored.ts';

/** What clients asked for that ends onboardings, whether or not they heard that it was done. */
interface Asked {
  /** `wish token`: revoked by the issuer, or declined by the partner. */
  readonly words: ReadonlySet<string>;
  /** `wish token partner`: accepted by its word, or imported by its own call. */
  readonly takes: ReadonlySet<string>;
  /** Sessions that their owners deleted. */
  readonly deleted: ReadonlySet<string>;
}

/** Onboardings that ended otherwise than what clients did explains: lost ones that were closed, broken words, and takings. */
export function endingProblems(calls: readonly Call[], stored: Stored): string[] {
  const asked = askedIn(calls);
  const acknowledged = new Set(calls.flatMap((call) => (isAcceptance(call) ? [call.tokenId] : [])));
  return [...stored.onboardings].flatMap(([tokenId, onboarding]) => {
    const { status, reason } = onboarding;
    if (!hasGround(tokenId, onboarding, asked, stored)) {
      return [`onboarding ${tokenId} is ${status} (${reason ?? 'without a reason'}), and no client asked for it`];
    }
    const broken = acknowledged.has(tokenId) && !honours(tokenId, onboarding, stored);
    return broken ? [`onboarding ${tokenId} was acknowledged, and is ${status}`] : [];
  });
}

/** Imports by a token without an onboarding, which only a partner's own call makes, that no such call explains. */
export function importProblems(calls: readonly Call[], stored: Stored): string[] {
  const { takes } = askedIn(calls);
  const unasked = ({ tokenId, partner }: StoredRedemption) =>
    !stored.onboardings.has(tokenId) && !takes.has(`import ${tokenId} ${partner}`);
  return [...stored.redemptions.values()]
    .filter(unasked)
    .map(({ tokenId, partner }) => `token ${tokenId} was redeemed for ${partner}, which never asked for it`);
}

/** In milliseconds: a token that lives for so long outlasts every outage that a run brings about. */
const LONG_LIFE_MS = 5 * 60_000;

/** Of those that live for less, so many may run out amid outages: three, or 2 %. */
const FEW = { number: 3, share: 0.02 };

/**
 * Automatic shares that ran out, though they need nobody's word: each that outlasts all outages, and the others where
 * they are more than outages explain.
 */
export function lostShares(calls: readonly Call[], stored: Stored): string[] {
  const { deleted } = askedIn(calls);
  const automatic = [...stored.onboardings].filter(([, { acceptance }]) => acceptance === 'automatic');
  const isLost = ([tokenId, onboarding]: (typeof automatic)[number]) =>
    (onboarding.status === 'expired' || onboarding.status === 'undeliverable') &&
    !deleted.has(onboarding.source) &&
    !takenByAnother(tokenId, onboarding, stored);
  const livesLong = ([tokenId]: (typeof automatic)[number]) => {
    const token = stored.tokens.get(tokenId);
    return token !== undefined && token.expiresAt - token.issuedAt >= LONG_LIFE_MS;
  };
  const short = automatic.filter((share) => !livesLong(share));
  const ranOut = short.filter(isLost).length;
  const tooMany = ranOut > Math.max(FEW.number, FEW.share * short.length);
  return [
    ...automatic
      .filter((share) => livesLong(share) && isLost(share))
      .map(([tokenId, { status }]) => `onboarding ${tokenId} is ${status}, and needed nobody's word`),
    ...(tooMany ? [`${ranOut} of ${short.length} automatic shares of a short life ran out`] : []),
  ];
}

const isAcceptance = (call: Call) => call.wish === 'acknowledge' && isSuccess(call);

/** A word of the partner holds through every outage: its import comes, unless somebody ended the share ({@link hasGround}). */
function honours(tokenId: string, onboarding: StoredOnboarding, stored: Stored): boolean {
  const { ended, status } = onboarding;
  if (ended && status !== 'expired' && status !== 'undeliverable') return true;
  return takenByAnother(tokenId, onboarding, stored);
}

function hasGround(tokenId: string, onboarding: StoredOnboarding, asked: Asked, stored: Stored): boolean {
  switch (onboarding.status) {
    case 'imported':
      return isAllowed(tokenId, onboarding, asked);
    case 'revoked':
      return onboarding.reason === 'revoked_by_issuer' && asked.words.has(`revoke ${tokenId}`);
    case 'refused':
      return asked.words.has(`decline ${tokenId}`);
    case 'rejected':
      return asked.deleted.has(onboarding.source) || takenByAnother(tokenId, onboarding, stored);
    default:
      return true;
  }
}

/** Its connection needs no word of the partner; or the partner gave it, or imported by its own call. */
function isAllowed(tokenId: string, { acceptance, partner }: StoredOnboarding, { takes }: Asked): boolean {
  if (acceptance === 'automatic') return true;
  return ['acknowledge', 'import'].some((wish) => takes.has(`${wish} ${tokenId} ${partner}`));
}

/** The partner has the source by another token, so that its import is refused until it deletes that. */
function takenByAnother(tokenId: string, onboarding: StoredOnboarding, stored: Stored): boolean {
  return stored.redemptionsOf(onboarding).some((redemption) => redemption.tokenId !== tokenId);
}

function askedIn(calls: readonly Call[]): Asked {
  const [words, takes, deleted] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const call of calls) {
    if (!mayBeDone(call)) continue;
    if (call.wish === 'revoke' || call.wish === 'decline') words.add(`${call.wish} ${String(call.tokenId)}`);
    if (call.wish === 'acknowledge' || call.wish === 'import') {
      takes.add(`${call.wish} ${String(call.tokenId)} ${call.as}`);
    }
    if (call.wish === 'delete') deleted.add(sessionInPath(call));
  }
  return { words, takes, deleted };
}

/** Also what was never answered, or with a 5xx: nobody knows whether it was done. */
export function mayBeDone(call: Call): boolean {
  return call.status === null || call.status >= 500 || isSuccess(call);
}
