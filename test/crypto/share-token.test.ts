import { createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import {
  readShareToken,
  ShareTokenInvalid,
  signShareToken,
  SigningKeyRemoved,
  type ShareTokenClaims,
} from '../../src/crypto/share-token.ts';
import { tryForgeries } from '../support/forged-tokens.ts';

const key = Buffer.alloc(32, 7);
const oldKey = Buffer.alloc(32, 8);
const ring = parseKeyRing(`new:${key.toString('base64url')},old:${oldKey.toString('base64url')}`);
const claims: ShareTokenClaims = {
  session_id: '0193a5f0-0000-7000-8000-000000000001',
  session_kind: 'business',
  from_application_id: '0193a5f0-0000-7000-8000-000000000002',
  for_application_id: '0193a5f0-0000-7000-8000-000000000003',
  iat: 1_600_000_000,
  exp: 1_600_003_600,
  jti: '0193a5f0-0000-7000-8000-000000000004',
};
const header = { alg: 'HS256', typ: 'JWT', kid: 'new' };

const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
const mac = (input: string, secret: Buffer | string, hash: string) =>
  createHmac(hash, secret).update(input).digest('base64url');

/** A token made by hand, so that the library under test signs none of the forgeries. */
function forge(head: unknown, body: unknown, secret: Buffer | string = key, hash = 'sha256'): string {
  const input = `${encode(head)}.${encode(body)}`;
  return `${input}.${mac(input, secret, hash)}`;
}

function without(name: keyof ShareTokenClaims): object {
  return Object.fromEntries(Object.entries(claims).filter(([claim]) => claim !== name));
}

async function reasonOf(token: string): Promise<string> {
  const outcome = await readShareToken(ring, token).catch((error: unknown) => error);
  if (!(outcome instanceof ShareTokenInvalid)) throw new Error('not refused as ShareTokenInvalid', { cause: outcome });
  expect(outcome.message).toBe('The share token is not valid.');
  return outcome.reason;
}

describe('signShareToken', () => {
  test('is a pure function of key and claims, with header and claims in order', async () => {
    const token = await signShareToken(ring, 'new', claims);
    const shuffled = Object.fromEntries(Object.entries(claims).toReversed()) as ShareTokenClaims;
    expect(await signShareToken(ring, 'new', shuffled)).toBe(token);
    expect(token).toBe(forge(header, claims));
  });

  test('signs with the key that is named', async () => {
    expect(await signShareToken(ring, 'old', claims)).toBe(forge({ ...header, kid: 'old' }, claims, oldKey));
  });

  test('refuses an unknown key and claims that could not be read back', async () => {
    const removed = await signShareToken(ring, 'gone', claims).catch((error: unknown) => error);
    expect(removed).toBeInstanceOf(SigningKeyRemoved);
    expect(String(removed)).toMatch(/^SigningKeyRemoved: no key gone signs share tokens/);
    await expect(signShareToken(ring, 'new', { ...claims, jti: 'x' })).rejects.toThrow(/^jti:/);
    await expect(signShareToken(ring, 'new', { ...claims, exp: claims.iat })).rejects.toThrow(/^claims: exp must be/);
  });
});

describe('readShareToken', () => {
  test('reads what was signed, by the active key and by an older one, long after it expired', async () => {
    for (const kid of ring.kids) {
      expect(await readShareToken(ring, await signShareToken(ring, kid, claims))).toEqual({ kid, claims });
    }
  });

  test('takes a token without a kind as of a user, and one without typ', async () => {
    expect(await readShareToken(ring, forge(header, without('session_kind')))).toEqual({
      kid: 'new',
      claims: { ...claims, session_kind: 'user' },
    });
    expect(await readShareToken(ring, forge({ alg: 'HS256', kid: 'new' }, claims))).toEqual({ kid: 'new', claims });
  });

  test('takes either kind of session', async () => {
    for (const session_kind of ['user', 'business'] as const) {
      const one = { ...claims, session_kind };
      expect(await readShareToken(ring, forge(header, one))).toEqual({ kid: 'new', claims: one });
    }
  });

  test('looks no key up for a token that no key could verify', async () => {
    const asked: string[] = [];
    const keys = { get: (kid: string) => Promise.resolve(void asked.push(kid)) };
    const names = [{ alg: 'HS256' }, { ...header, kid: 0 }, { ...header, kid: ['new'] }, { ...header, alg: 'none' }];
    for (const token of ['', 'a.b.c', ...names.map((head) => forge(head, claims))]) {
      await expect(readShareToken(keys, token)).rejects.toBeInstanceOf(ShareTokenInvalid);
    }
    expect(asked).toEqual([]);
    await expect(readShareToken(keys, forge(header, claims))).rejects.toBeInstanceOf(ShareTokenInvalid);
    expect(asked).toEqual(['new']);
  });

  test('takes a lifetime of exactly a minute and exactly a day', async () => {
    for (const ttl of [60, 86_400]) {
      const edge = { ...claims, exp: claims.iat + ttl };
      expect(await readShareToken(ring, forge(header, edge))).toEqual({ kid: 'new', claims: edge });
    }
  });

  test('ignores keys that a token brings along or points to', async () => {
    const jwk = { kty: 'oct', k: Buffer.alloc(32, 9).toString('base64url') };
    const lure = { ...header, jku: 'http://127.0.0.1:9/keys', x5u: 'http://127.0.0.1:9/cert', jwk };
    expect(await readShareToken(ring, forge(lure, claims))).toEqual({ kid: 'new', claims });
    expect(await reasonOf(forge(lure, claims, Buffer.alloc(32, 9)))).toBe('ERR_JWS_SIGNATURE_VERIFICATION_FAILED');
  });

  const good = forge(header, claims);
  const [goodHead = '', goodBody = '', goodMac = ''] = good.split('.');
  const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' });
  const duplicated = JSON.stringify(claims).replace('{', `{"for_application_id":"${claims.session_id}",`);

  test.each<[string, string, string]>([
    ['alg none', `${encode({ ...header, alg: 'none' })}.${goodBody}.`, 'algorithm'],
    ['alg none with the old signature', `${encode({ ...header, alg: 'none' })}.${goodBody}.${goodMac}`, 'algorithm'],
    ['HS512 by the same key', forge({ ...header, alg: 'HS512' }, claims, key, 'sha512'), 'algorithm'],
    ['RS256 in name', forge({ ...header, alg: 'RS256' }, claims), 'algorithm'],
    ['a PEM as secret', forge(header, claims, pem), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['another key', forge(header, claims, Buffer.alloc(32, 9)), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['the key of another kid', forge({ ...header, kid: 'old' }, claims, key), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['an empty secret', forge(header, claims, ''), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['HS384 by the same key', forge({ ...header, alg: 'HS384' }, claims, key, 'sha384'), 'algorithm'],
    ['an alg in other letters', forge({ ...header, alg: 'hs256' }, claims), 'algorithm'],
    ['two algs', forge('{"alg":"HS256","alg":"none","typ":"JWT","kid":"new"}', claims), 'algorithm'],
    [
      'two kids',
      forge('{"alg":"HS256","typ":"JWT","kid":"new","kid":"old"}', claims),
      'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    ],
    ['a kid that is a path', forge({ ...header, kid: '../../dev/null' }, claims, ''), 'unknown key'],
    ['a kid that is SQL', forge({ ...header, kid: "new' or '1'='1" }, claims), 'unknown key'],
    ['a kid that is a number', forge({ ...header, kid: 0 }, claims), 'unknown key'],
    ['a kid that is a list', forge({ ...header, kid: ['new'] }, claims), 'unknown key'],
    ['an unknown kid', forge({ ...header, kid: 'gone' }, claims), 'unknown key'],
    ['no kid', forge({ alg: 'HS256', typ: 'JWT' }, claims), 'unknown key'],
    ['a kid that is a property of objects', forge({ ...header, kid: '__proto__' }, claims), 'unknown key'],
    ['another typ', forge({ ...header, typ: 'at+jwt' }, claims), 'not a JWT by its typ'],
    ['an unknown critical header', forge({ ...header, crit: ['x'], x: 1 }, claims), 'ERR_JOSE_NOT_SUPPORTED'],
    ['a known critical header', forge({ ...header, crit: ['b64'], b64: true }, claims), 'critical header'],
    ['a claim given twice', forge(header, duplicated), 'claims not as we write them'],
    ['no exp', forge(header, without('exp')), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['no iat', forge(header, without('iat')), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['no jti', forge(header, without('jti')), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['no session', forge(header, without('session_id')), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['exp as null', forge(header, { ...claims, exp: null }), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['an exp beyond all dates', forge(header, { ...claims, exp: 9e15 }), 'claim exp'],
    ['exp as text', forge(header, { ...claims, exp: '1600003600' }), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['iat as text', forge(header, { ...claims, iat: '1600000000' }), 'ERR_JWT_CLAIM_VALIDATION_FAILED'],
    ['a fraction of a second', forge(header, { ...claims, exp: claims.exp + 0.5 }), 'claim exp'],
    ['exp before iat', forge(header, { ...claims, exp: claims.iat - 60 }), 'ERR_JWT_EXPIRED'],
    ['a life of 59 s', forge(header, { ...claims, exp: claims.iat + 59 }), 'claim set'],
    ['a life over a day', forge(header, { ...claims, exp: claims.iat + 86_401 }), 'claim set'],
    ['an iat beyond all dates', forge(header, { ...claims, iat: 9e15, exp: 9e15 + 3600 }), 'unreadable'],
    ['an upper-case id', forge(header, { ...claims, jti: claims.jti.replace('a5', 'A5') }), 'claim jti'],
    ['an id without dashes', forge(header, { ...claims, jti: claims.jti.replaceAll('-', '') }), 'claim jti'],
    ['an id with more before it', forge(header, { ...claims, jti: `0${claims.jti}` }), 'claim jti'],
    ['an id with more after it', forge(header, { ...claims, jti: `${claims.jti}\n` }), 'claim jti'],
    ['another kind', forge(header, { ...claims, session_kind: 'admin' }), 'claim session_kind'],
    ['a claim too many', forge(header, { ...claims, admin: true }), 'claim set'],
    ['claims that are a list', forge(header, [claims]), 'ERR_JWT_INVALID'],
    ['claims that are no JSON', forge(header, 'x'), 'ERR_JWT_INVALID'],
    ['1 MB', `${goodHead}.${'A'.repeat(1_000_000)}.${goodMac}`, 'too long'],
    ['one character over the limit', 'A'.repeat(4_097), 'too long'],
    ['as many characters as may be', 'A'.repeat(4_096), 'unreadable'],
    ['no text', '', 'unreadable'],
    ['two parts', `${goodHead}.${goodBody}`, 'unreadable'],
    ['five parts', `${good}.a.b`, 'ERR_JWT_INVALID'],
    [
      'a changed signature',
      good.slice(0, -4) + (good.endsWith('AAAA') ? 'BBBB' : 'AAAA'),
      'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    ],
    ['a signature cut short', good.slice(0, -8), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
    ['no signature', `${goodHead}.${goodBody}.`, 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
  ])('refuses %s', async (_name, token, reason) => {
    expect(await reasonOf(token)).toBe(reason);
  });

  test('100,000 forgeries without the key give no other claims than were signed', { timeout: 120_000 }, async () => {
    const { falsely, accepted } = await tryForgeries(100_000, 20_261_123);
    expect(falsely).toEqual([]);
    // Parts that happen to belong together, and spare bits: another text, the same claims.
    expect(accepted).toBeLessThan(20_000);
  });
});
