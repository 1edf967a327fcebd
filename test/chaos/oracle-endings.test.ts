import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { lostShares } from '../../chaos/endings.ts';
import type { Call } from '../../chaos/ledger.ts';
import type { Stored, StoredOnboarding, StoredRedemption } from '../../chaos/stored.ts';

/** An automatic share that ran out without an import. */
function share(own: Partial<StoredOnboarding> & { readonly lifeSeconds: number }) {
  const { lifeSeconds, ...rest } = own;
  const sides = { source: randomUUID(), partner: randomUUID() };
  const ending = { status: 'expired', reason: null, imported: null, ended: true };
  const onboarding: StoredOnboarding = { ...sides, acceptance: 'automatic', ...ending, ...rest };
  const token = { ...sides, issuer: randomUUID(), issuedAt: 0, expiresAt: lifeSeconds * 1_000, closedAt: null };
  return { id: randomUUID(), onboarding, token };
}

function storedOf(shares: readonly ReturnType<typeof share>[], redemptions: readonly StoredRedemption[] = []): Stored {
  return {
    sessions: new Map(),
    tokens: new Map(shares.map(({ id, token }) => [id, token])),
    redemptions: new Map(),
    onboardings: new Map(shares.map(({ id, onboarding }) => [id, onboarding])),
    redemptionsOf: () => redemptions,
  };
}

const many = (count: number, make: () => ReturnType<typeof share>) => Array.from({ length: count }, make);

describe('an automatic share that ran out', () => {
  const lost = share({ lifeSeconds: 900 });
  const { source, partner } = lost.onboarding;

  it('is lost when it outlasts every outage', () => {
    const sentence = `onboarding ${lost.id} is expired, and needed nobody's word`;
    expect(lostShares([], storedOf([lost]))).toEqual([sentence]);
  });

  it('is explained by the end of its source, by another import, and by another acceptance', () => {
    const deletion = { wish: 'delete', as: 'owner', status: null, path: `/v3/session/${source}/delete/` } as Call;
    expect(lostShares([deletion], storedOf([lost]))).toEqual([]);
    const redemption = { tokenId: randomUUID(), source, partner, session: randomUUID(), at: 0 };
    expect(lostShares([], storedOf([lost], [redemption]))).toEqual([]);
    expect(lostShares([], storedOf([share({ lifeSeconds: 900, acceptance: 'acknowledge' })]))).toEqual([]);
    expect(lostShares([], storedOf([share({ lifeSeconds: 900, status: 'imported' })]))).toEqual([]);
  });

  it('may be one of a few that met an outage, when it lives for a minute', () => {
    const few = many(3, () => share({ lifeSeconds: 60 }));
    expect(lostShares([], storedOf(few))).toEqual([]);
    const one = share({ lifeSeconds: 90 });
    expect(lostShares([], storedOf([...few, one]))).toEqual(['4 of 4 automatic shares of a short life ran out']);
    const imported = many(196, () => share({ lifeSeconds: 60, status: 'imported' }));
    expect(lostShares([], storedOf([...few, one, ...imported]))).toEqual([]);
  });
});
