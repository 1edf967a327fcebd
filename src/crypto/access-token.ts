import { decodeJwt, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';

/** How long an access token works, in seconds. */
export const ACCESS_TOKEN_SECONDS = 900;

const ISSUER = 'handoff';
const AUDIENCE = 'handoff:auth:v2';
const TYPE = 'at+jwt';
const MAX_TOKEN_CHARACTERS = 1024;
const UUID = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const EPOCH_SECONDS = z.int().nonnegative().max(8_640_000_000_000);

const CLAIMS = z
  .strictObject({
    iss: z.literal(ISSUER),
    aud: z.literal(AUDIENCE),
    sub: UUID,
    sid: UUID,
    iat: EPOCH_SECONDS,
    exp: EPOCH_SECONDS,
  })
  .refine(({ iat, exp }) => exp - iat === ACCESS_TOKEN_SECONDS);

/** Who an access token says is calling. */
export interface AccessClaims {
  readonly accountId: string;
  readonly loginId: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

/**
 * The token of a login (RFC 9068's type, HS256). Its key, type, audience and claims are all its own, so that it is
 * nothing where a share token is asked for, and a share token is nothing here.
 *
 * @param of.issuedAt Unix seconds, by the database's clock
 */
export function signAccessToken(
  key: Uint8Array,
  of: { readonly accountId: string; readonly loginId: string; readonly issuedAt: number },
): Promise<string> {
  return new SignJWT({ sid: of.loginId })
    .setProtectedHeader({ alg: 'HS256', typ: TYPE })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(of.accountId)
    .setIssuedAt(of.issuedAt)
    .setExpirationTime(of.issuedAt + ACCESS_TOKEN_SECONDS)
    .sign(key);
}

/**
 * Checks signature and shape; null for anything that is no access token of ours. Expiry is not judged here: the look at
 * the login does, by the database's clock.
 */
export async function readAccessToken(key: Uint8Array, token: string): Promise<AccessClaims | null> {
  if (token.length > MAX_TOKEN_CHARACTERS) return null;
  try {
    const { iat } = decodeJwt(token);
    const { payload, protectedHeader } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      typ: TYPE,
      issuer: ISSUER,
      audience: AUDIENCE,
      requiredClaims: ['sub', 'sid', 'iat', 'exp'],
      currentDate: new Date(Number(iat) * 1000),
    });
    if (protectedHeader.crit !== undefined) return null;
    const claims = CLAIMS.safeParse(payload);
    if (!claims.success) return null;
    return { accountId: claims.data.sub, loginId: claims.data.sid, expiresAt: claims.data.exp };
  } catch {
    return null;
  }
}
