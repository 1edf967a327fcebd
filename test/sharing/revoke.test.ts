import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { resetClock, shiftClock } from '../support/database.ts';
import { refusalOf, shareLab, userDocument } from '../support/share-lab.ts';
import { shareSeen } from '../support/share-seen.ts';

const lab = shareLab();
afterEach(() => resetClock(lab.database.pool));

const seen = (tokenId: string) => shareSeen(lab, { tokenId, issuer: lab.issuer, partner: lab.partner });

describe('a revocation', () => {
  it.each<[string, (tokenId: string) => Promise<unknown>]>([
    ['while it is being minted', async () => {}],
    ['once it is minted', (tokenId) => lab.runMint(tokenId)],
    ['of an acknowledged share', (tokenId) => lab.runMint(tokenId).then(() => lab.acknowledge(tokenId))],
    [
      'of an acknowledged share, past its expiry',
      async (tokenId) => {
        await lab.runMint(tokenId);
        await lab.acknowledge(tokenId);
        await shiftClock(lab.database.pool, '2 hours');
      },
    ],
  ])('%s ends it, signals the run and is told once, however often it is said', async (_when, before) => {
    const tokenId = await lab.open(await lab.takeIn(userDocument()));
    await before(tokenId);
    lab.wishes.length = 0;
    await Promise.all([lab.revoke(tokenId), lab.revoke(tokenId)]);
    const counts = await lab.counts();
    await lab.revoke(tokenId);
    expect(await lab.counts()).toEqual(counts);
    expect(lab.wishes.filter(({ wish }) => wish === 'signal')).toMatchObject([
      { signal: 'tokenRevoked', tokenId, subjectId: tokenId },
    ]);
    expect(await lab.look(tokenId)).toEqual({ state: 'revoked', reason: 'revoked_by_issuer' });
    const left = await seen(tokenId);
    expect(left.broken).toEqual([]);
    expect(left.events.filter((event) => event.endsWith('share.revoked'))).toEqual(['issuer share.revoked']);
  });

  it.each<[string, (tokenId: string) => Promise<unknown>]>([
    ['imported', (tokenId) => lab.redeem(tokenId)],
    ['refused', (tokenId) => lab.acknowledge(tokenId, { accept: false })],
    ['undeliverable', (tokenId) => lab.close(tokenId, { as: 'undeliverable', reason: 'gone' })],
    ['rejected', (tokenId) => lab.close(tokenId, { as: 'rejected', reason: 'application_deleted' })],
    ['expired', () => shiftClock(lab.database.pool, '2 hours')],
  ])('is too late when the share is %s, and changes nothing', async (status, end) => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await end(tokenId);
    const counts = await lab.counts();
    expect(await refusalOf(lab.revoke(tokenId))).toMatchObject({ code: 'onboarding_ended', extra: { status } });
    expect(await lab.counts()).toEqual(counts);
  });

  it('is nobody’s but the issuer’s', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    const plain = await lab.mint(await lab.takeIn(userDocument()));
    for (const call of [
      () => lab.revoke(tokenId, lab.partner),
      () => lab.revoke(tokenId, lab.third),
      () => lab.revoke(plain.tokenId),
      () => lab.revoke(randomUUID()),
    ]) {
      expect((await refusalOf(call())).code).toBe('unknown_onboarding');
    }
    expect((await lab.look(tokenId)).state).toBe('open');
  });
});
