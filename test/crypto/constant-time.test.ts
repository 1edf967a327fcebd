import type * as Crypto from 'node:crypto';
import { randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { newApiKey } from '../../src/accounts/api-keys.ts';
import { createKeyChecker, type StoredApiKey } from '../../src/accounts/key-checker.ts';
import { createOneTimeCodes } from '../../src/accounts/one-time-codes.ts';
import { createPasswords } from '../../src/accounts/passwords.ts';
import { readAccessToken, signAccessToken } from '../../src/crypto/access-token.ts';
import { isSignedByDidit } from '../../src/crypto/didit-signature.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { readShareToken, signShareToken } from '../../src/crypto/share-token.ts';
import { operatorOf } from '../../src/http/codec-auth.ts';
import { mediaUrls, proveLink } from '../../src/media/links.ts';

/** What the code under test has had done: each comparison, hash and key derivation with the size of what it worked on. */
let work: string[] = [];

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof Crypto>();
  const noted = <F extends (...args: never[]) => unknown>(
    name: string,
    run: F,
    about: (...args: Parameters<F>) => string,
  ) =>
    ((...args: Parameters<F>) => {
      work.push(`${name} ${about(...args)}`);
      return run(...args);
    }) as F;
  return {
    ...real,
    timingSafeEqual: noted('timingSafeEqual', real.timingSafeEqual, (a, b) => `${a.byteLength} ${b.byteLength}`),
    createHash: noted('createHash', real.createHash, (algorithm) => algorithm),
    createHmac: noted('createHmac', real.createHmac, (algorithm) => algorithm),
    scrypt: noted('scrypt', real.scrypt as (...args: never[]) => unknown, (...args: unknown[]) =>
      JSON.stringify(args[3]),
    ),
  };
});

const { subtle } = globalThis.crypto;
const verify = subtle.verify.bind(subtle);
vi.spyOn(subtle, 'verify').mockImplementation((...args) => {
  work.push('subtle.verify');
  return verify(...args);
});

beforeEach(() => {
  work = [];
});

/** The work of one try. */
async function workOf(attempt: () => unknown): Promise<string[]> {
  work = [];
  await Promise.resolve(attempt()).catch(() => undefined);
  return work;
}

/** Expects one and the same work, with a comparison in it, of every try, the first of which is right. */
async function expectSameWork(attempts: Readonly<Record<string, () => unknown>>): Promise<void> {
  const [right, ...others] = Object.entries(attempts);
  const expected = await workOf(right?.[1] ?? (() => undefined));
  expect(expected.some((step) => /^(?:timingSafeEqual (\d+) \1|subtle\.verify)$/.test(step))).toBe(true);
  for (const [name, attempt] of others) expect({ name, work: await workOf(attempt) }).toEqual({ name, work: expected });
}

describe('the same work for what is right, wrong, or of nobody:', () => {
  it('API keys, looked up by key id', async () => {
    const [known, other, stranger] = [newApiKey('live'), newApiKey('live'), newApiKey('live')];
    const stored = (key: typeof known, living: boolean): StoredApiKey => ({
      keyId: key.keyId,
      applicationId: randomUUID(),
      sha256: known.sha256,
      privileges: {},
      allowedAddresses: [],
      applicationDeleted: false,
      living,
    });
    const rows = new Map([
      [known.keyId, stored(known, true)],
      // Another secret than the one it is asked with.
      [other.keyId, stored(other, true)],
    ]);
    const check = createKeyChecker((keyId) => Promise.resolve(rows.get(keyId) ?? null));
    const revoked = createKeyChecker(() => Promise.resolve(stored(known, false)));
    await expectSameWork({
      right: () => check(known.text),
      'wrong secret': () => check(other.text),
      'unknown id': () => check(stranger.text),
      revoked: () => revoked(known.text),
    });
  });

  it('Didit’s signatures of webhooks', async () => {
    const body = { webhook_type: 'status.updated' };
    const rawBody = Buffer.from(JSON.stringify(body));
    const { createHmac } = await vi.importActual<typeof Crypto>('node:crypto');
    const sign = (secret: string) => createHmac('sha256', secret).update(rawBody).digest('hex');
    const webhook = (signature: string | undefined) => ({ rawBody, body, signatureV2: undefined, signature });
    await expectSameWork({
      right: () => isSignedByDidit(webhook(sign('current')), ['current']),
      'right by the previous secret': () => isSignedByDidit(webhook(sign('previous')), ['current', 'previous']),
      wrong: () => isSignedByDidit(webhook(sign('guessed')), ['current']),
      'no signature': () => isSignedByDidit(webhook(undefined), ['current']),
      'nonsense for a signature': () => isSignedByDidit(webhook('nonsense'), ['current', 'previous']),
      'an application without a secret, or none': () => isSignedByDidit(webhook(sign('guessed')), []),
    });
  });

  it('one-time codes', async () => {
    const codes = createOneTimeCodes(randomBytes(32));
    const stored = codes.hmac('account-1', 'K7PX4M');
    await expectSameWork({
      right: () => codes.fits('account-1', 'K7PX4M', stored),
      wrong: () => codes.fits('account-1', 'K7PX4N', stored),
      'no code': () => codes.fits('account-1', 'K7PX4M', null),
      'no account': () => codes.fits(null, 'K7PX4M', null),
    });
  });

  it('passwords, but for the comparison: a nobody’s derivation is all the work there is', async () => {
    const passwords = createPasswords({ N: 16, r: 1, p: 1 });
    const stored = await passwords.hash('Correct-Horse-7');
    const derivations = async (attempt: () => unknown) =>
      (await workOf(attempt)).filter((step) => step.startsWith('scrypt'));
    const right = await derivations(() => passwords.check('Correct-Horse-7', stored));
    expect(right).toHaveLength(1);
    expect(await derivations(() => passwords.check('Correct-Horse-8', stored))).toEqual(right);
    expect(await derivations(() => passwords.check('Correct-Horse-7', null))).toEqual(right);
  });

  it('links to files', async () => {
    const mediaLinkKey = randomBytes(32);
    const [applicationId, sessionId, mediaId] = [randomUUID(), randomUUID(), randomUUID()];
    const url = new URL(
      mediaUrls({ publicUrl: 'http://x.test', mediaLinkKey })({ applicationId, sessionId, mediaId, nowSeconds: 1e9 }),
    );
    const link = {
      applicationId,
      sessionId,
      mediaId,
      expires: url.searchParams.get('expires'),
      signature: url.searchParams.get('signature'),
    };
    expect(proveLink(mediaLinkKey, link)).not.toBeNull();
    await expectSameWork({
      right: () => proveLink(mediaLinkKey, link),
      'wrong signature': () => proveLink(mediaLinkKey, { ...link, signature: randomBytes(32).toString('base64url') }),
      'signature of another file': () => proveLink(mediaLinkKey, { ...link, mediaId: randomUUID() }),
    });
  });

  it('tokens of the codec server’s operators', async () => {
    const { createHash } = await vi.importActual<typeof Crypto>('node:crypto');
    const tokens = new Map(
      ['ada', 'grace', 'joan'].map((name) => [name, createHash('sha256').update(`${name}’s`).digest()]),
    );
    expect(operatorOf(tokens, 'ada’s')).toBe('ada');
    await expectSameWork({
      'right, the first': () => operatorOf(tokens, 'ada’s'),
      'right, another': () => operatorOf(tokens, 'grace’s'),
      wrong: () => operatorOf(tokens, 'nobody’s'),
    });
  });

  it('share tokens and access tokens, whose signatures the platform compares', async () => {
    const key = randomBytes(32);
    const ring = parseKeyRing(`k:${key.toString('base64url')}`);
    const [iat, id] = [1_700_000_000, randomUUID()];
    const share = await signShareToken(ring, 'k', {
      session_id: id,
      session_kind: 'user',
      from_application_id: id,
      for_application_id: randomUUID(),
      iat,
      exp: iat + 60,
      jti: id,
    });
    const access = await signAccessToken(key, { accountId: id, loginId: id, issuedAt: iat });
    const forged = (token: string) =>
      `${token.slice(0, token.lastIndexOf('.'))}.${randomBytes(32).toString('base64url')}`;
    await expectSameWork({
      right: () => readShareToken(ring, share),
      wrong: () => readShareToken(ring, forged(share)),
    });
    await expectSameWork({
      right: () => readAccessToken(key, access),
      wrong: () => readAccessToken(key, forged(access)),
    });
  });

  // Refresh tokens and tokens of hosted flows are looked up by their SHA-256 alone, and webhooks' receivers compare by
  // `receiver/signatures.ts`, which has no crypto of Node's.
});
