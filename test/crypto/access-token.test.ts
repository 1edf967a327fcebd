import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ACCESS_TOKEN_SECONDS, readAccessToken, signAccessToken } from '../../src/crypto/access-token.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { readShareToken, ShareTokenInvalid, signShareToken } from '../../src/crypto/share-token.ts';

const KEY = Buffer.alloc(32, 9);
const LOGIN = {
  accountId: '0193a5f0-0000-7000-8000-000000000001',
  loginId: '0193a5f0-0000-7000-8000-000000000002',
  issuedAt: 1_600_000_000,
};
const HEADER = { alg: 'HS256', typ: 'at+jwt' };
const CLAIMS = {
  iss: 'handoff',
  aud: 'handoff:auth:v2',
  sub: LOGIN.accountId,
  sid: LOGIN.loginId,
  iat: LOGIN.issuedAt,
  exp: LOGIN.issuedAt + ACCESS_TOKEN_SECONDS,
};

/** A token made by hand, so that the library under test signs none of the forgeries. */
function forge(header: object, claims: object, key: Buffer = KEY, hash = 'sha256'): string {
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`;
}

function without(claim: keyof typeof CLAIMS): object {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim));
}

const READ = { accountId: LOGIN.accountId, loginId: LOGIN.loginId, expiresAt: CLAIMS.exp };

describe('an access token', () => {
  it('is read as it was signed, long after it expired: the database judges that', async () => {
    expect(await readAccessToken(KEY, await signAccessToken(KEY, LOGIN))).toEqual(READ);
    expect(await readAccessToken(KEY, forge(HEADER, CLAIMS))).toEqual(READ);
  });

  it.each<[string, string]>([
    ['another key', forge(HEADER, CLAIMS, Buffer.alloc(32, 1))],
    [
      'alg none',
      `${forge({ ...HEADER, alg: 'none' }, CLAIMS)
        .split('.')
        .slice(0, 2)
        .join('.')}.`,
    ],
    ['HS512', forge({ ...HEADER, alg: 'HS512' }, CLAIMS, KEY, 'sha512')],
    ['no typ', forge({ alg: 'HS256' }, CLAIMS)],
    ['the typ of a share token', forge({ ...HEADER, typ: 'JWT' }, CLAIMS)],
    ['a critical header', forge({ ...HEADER, crit: ['b64'], b64: true }, CLAIMS)],
    ['another issuer', forge(HEADER, { ...CLAIMS, iss: 'elsewhere' })],
    ['another audience', forge(HEADER, { ...CLAIMS, aud: 'handoff:v3' })],
    ['two audiences', forge(HEADER, { ...CLAIMS, aud: [CLAIMS.aud, 'handoff:v3'] })],
    ['one claim more', forge(HEADER, { ...CLAIMS, admin: true })],
    ['a longer life', forge(HEADER, { ...CLAIMS, exp: CLAIMS.exp + 1 })],
    ['a text for a time', forge(HEADER, { ...CLAIMS, iat: String(CLAIMS.iat) })],
    ['a login that is no id', forge(HEADER, { ...CLAIMS, sid: "' or 1=1" })],
    ...(['iss', 'aud', 'sub', 'sid', 'iat', 'exp'] as const).map((claim): [string, string] => [
      `no ${claim}`,
      forge(HEADER, without(claim)),
    ]),
    ['no token', 'x.y.z'],
    ['no dots', ''],
    ['a megabyte', `${forge(HEADER, CLAIMS)}${'A'.repeat(1_000_000)}`],
  ])('with %s is none', async (_what, token) => {
    expect(await readAccessToken(KEY, token)).toBeNull();
  });

  it('is no share token and the other way round, even under one key', async () => {
    const ring = parseKeyRing(`one:${KEY.toString('base64url')}`);
    const shareToken = await signShareToken(ring, 'one', {
      session_id: LOGIN.loginId,
      session_kind: 'user',
      from_application_id: LOGIN.accountId,
      for_application_id: LOGIN.loginId,
      iat: CLAIMS.iat,
      exp: CLAIMS.exp,
      jti: LOGIN.accountId,
    });
    expect(await readAccessToken(KEY, shareToken)).toBeNull();
    await expect(readShareToken(ring, await signAccessToken(KEY, LOGIN))).rejects.toBeInstanceOf(ShareTokenInvalid);
    await expect(readShareToken(ring, forge({ ...HEADER, kid: 'one' }, CLAIMS))).rejects.toBeInstanceOf(
      ShareTokenInvalid,
    );
  });
});
