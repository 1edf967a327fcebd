import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import { z } from 'zod';

import type { ShareTokenKeys } from './share-token-keys.ts';

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

/** The key that is to sign a token, or to make it again, is not there (any more). */
export class SigningKeyRemoved extends Error {
  override readonly name = 'SigningKeyRemoved';
}

/**
 * The token's text: a pure function of the key and the claims, so that whoever knows the row can make it again.
 * @throws {SigningKeyRemoved} when there is no such key
 * @throws {RangeError} when the claims couldn't be read back
 */
export async function signShareToken(keys: ShareTokenKeys, kid: string, claims: ShareTokenClaims): Promise<string> {
  const key = await keys.get(kid);
  if (key === undefined)
    throw new SigningKeyRemoved(`no key ${kid} signs share tokens: it was removed, or cannot be opened`);
  const checked = CLAIMS.safeParse(claims);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw new RangeError(`${issue?.path.join('.') || 'claims'}: ${issue?.message ?? 'invalid'}`);
  }
  return new SignJWT(checked.data).setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid }).sign(key);
}

/**
 * Checks signature and shape, and returns the claims with the id of the key that signed them. Expiry is not judged here:
 * SQL alone decides it, after the row lock.
 * @throws {ShareTokenInvalid} on anything else than a token that one of these keys signed
 */
export async function readShareToken(
  keys: ShareTokenKeys,
  token: string,
): Promise<{ readonly kid: string; readonly claims: ShareTokenClaims }> {
  if (token.length > MAX_TOKEN_CHARACTERS) throw new ShareTokenInvalid('too long');
  const kid = kidIn(token);
  // Outside of what follows: keys that can't be read say nothing of the token.
  const key = kid === null ? undefined : await keys.get(kid);
  if (kid === null || key === undefined) throw new ShareTokenInvalid('unknown key');
  let payload: JWTPayload;
  try {
    // The date is pinned to the token's own iat, so that jose never calls it expired; the shape of iat is checked below.
    const { iat } = decodeJwt(token);
    const verified = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      requiredClaims: ['jti', 'exp', 'iat', 'session_id', 'from_application_id', 'for_application_id'],
      currentDate: new Date(Number(iat) * 1000),
    });
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
  return { kid, claims: claims.data };
}

/** The key id that a token names, proven by nothing yet; null when it names none. */
function kidIn(token: string): string | null {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    // Nothing is looked up for what no key could verify.
    if (alg !== 'HS256') throw new ShareTokenInvalid('algorithm');
    return typeof kid === 'string' ? kid : null;
  } catch (error) {
    if (error instanceof ShareTokenInvalid) throw error;
    throw new ShareTokenInvalid('unreadable');
  }
}
