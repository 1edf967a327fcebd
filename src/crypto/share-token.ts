import { decodeJwt, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import { z } from 'zod';

import type { KeyRing } from './key-ring.ts';

const MAX_TOKEN_CHARACTERS = 4096;
const MIN_TTL_SECONDS = 60;
const MAX_TTL_SECONDS = 86_400;
// The last second a JavaScript date can state.
const MAX_EPOCH_SECONDS = 8_640_000_000_000;
const UUID = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const EPOCH_SECONDS = z.int().nonnegative().max(MAX_EPOCH_SECONDS);

// The order here is the order in the token.
const CLAIMS = z
  .strictObject({
    session_id: UUID,
    // Didit: a token without a kind is of a user session.
    session_kind: z.enum(['user', 'business']).default('user'),
    from_application_id: UUID,
    for_application_id: UUID,
    iat: EPOCH_SECONDS,
    exp: EPOCH_SECONDS,
    jti: UUID,
  })
  .refine(({ iat, exp }) => exp - iat >= MIN_TTL_SECONDS && exp - iat <= MAX_TTL_SECONDS, {
    message: `exp must be ${MIN_TTL_SECONDS} to ${MAX_TTL_SECONDS} seconds after iat`,
  });

/** What a share token says. Ids are lower-case UUIDs, times are whole seconds; `jti` is the token id. */
export type ShareTokenClaims = z.output<typeof CLAIMS>;

/** The text is no share token of ours. The reason is for tests and never holds any of the token; callers see one refusal. */
export class ShareTokenInvalid extends Error {
  override readonly name = 'ShareTokenInvalid';
  readonly reason: string;

  constructor(reason: string) {
    super('The share token is not valid.');
    this.reason = reason;
  }
}

/**
 * The token's text: a pure function of the key and the claims, so that whoever knows the row can make it again.
 * @throws {RangeError} when the ring has no such key or the claims couldn't be read back.
 */
export async function signShareToken(ring: KeyRing, kid: string, claims: ShareTokenClaims): Promise<string> {
  const key = ring.get(kid);
  if (key === undefined) throw new RangeError(`kid: no key ${kid} in the key ring; put it back or revoke its tokens`);
  const checked = CLAIMS.safeParse(claims);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw new RangeError(`${issue?.path.join('.') || 'claims'}: ${issue?.message ?? 'invalid'}`);
  }
  return new SignJWT(checked.data).setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid }).sign(key);
}

/**
 * Checks signature and shape, and returns the claims. Expiry is not judged here: SQL alone decides it, after the row lock.
 * @throws {ShareTokenInvalid} on anything else than a token this ring signed.
 */
export async function readShareToken(ring: KeyRing, token: string): Promise<ShareTokenClaims> {
  if (token.length > MAX_TOKEN_CHARACTERS) throw new ShareTokenInvalid('too long');
  let payload: JWTPayload;
  try {
    // The date is pinned to the token's own iat, so that jose never calls it expired; the shape of iat is checked below.
    const { iat } = decodeJwt(token);
    const verified = await jwtVerify(
      token,
      ({ kid }) => {
        const key = kid === undefined ? undefined : ring.get(kid);
        if (key === undefined) throw new ShareTokenInvalid('unknown key');
        return key;
      },
      {
        algorithms: ['HS256'],
        requiredClaims: ['jti', 'exp', 'iat', 'session_id', 'from_application_id', 'for_application_id'],
        currentDate: new Date(Number(iat) * 1000),
      },
    );
    const { crit, typ } = verified.protectedHeader;
    if (crit !== undefined) throw new ShareTokenInvalid('critical header');
    if (typ !== undefined && typ !== 'JWT') throw new ShareTokenInvalid('not a JWT by its typ');
    payload = verified.payload;
    const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
    // A claim that stands twice would mean one thing to us and perhaps another elsewhere.
    if (text !== JSON.stringify(payload)) throw new ShareTokenInvalid('claims not as we write them');
  } catch (error) {
    if (error instanceof ShareTokenInvalid) throw error;
    throw new ShareTokenInvalid(error instanceof Error && 'code' in error ? String(error.code) : 'unreadable');
  }
  const claims = CLAIMS.safeParse(payload);
  if (!claims.success) throw new ShareTokenInvalid(`claim ${claims.error.issues[0]?.path.join('.') || 'set'}`);
  return claims.data;
}
