import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { ShareTokenInvalid, type ShareTokenClaims } from '../../src/crypto/share-token.ts';
import { tryForgeries } from '../support/forged-tokens.ts';

test('forgeries are near enough that a reader which looks at no signature believes them', async () => {
  const { falsely } = await tryForgeries(500, 1, async (token) => {
    try {
      return { claims: decodeJwt<ShareTokenClaims>(token) };
    } catch {
      throw new ShareTokenInvalid('unreadable');
    }
  });
  expect(falsely.length).toBeGreaterThan(50);
});

test('the service believes none of the same', async () => {
  expect((await tryForgeries(500, 1)).falsely).toEqual([]);
});
