import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

/** Whose tokens of people are believed. */
export interface SingleSignOn {
  /** Where the company's sign-on publishes its keys. */
  readonly jwksUrl: string;
  readonly issuer: string;
  /** What a token must be meant for. */
  readonly audience: string;
  /** What a token must say of its person besides: the claim is this text, or an array that has it. */
  readonly claim: { readonly name: string; readonly value: string };
}

/** Asymmetric alone: nobody who can verify can sign. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const MAX_TOKEN_CHARACTERS = 8_192;
const SUBJECT = /^[\x21-\x7e]{1,200}$/;

/**
 * Reads access tokens of a company's single sign-on.
 *
 * @returns the token's subject, or null for anything that is no valid token, and for a person without the claim
 * @throws when the sign-on's keys cannot be had
 */
export function readSsoTokens({
  jwksUrl,
  issuer,
  audience,
  claim,
}: SingleSignOn): (token: string) => Promise<string | null> {
  const keys = createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 });
  return async (token) => {
    if (token.length > MAX_TOKEN_CHARACTERS) return null;
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        requiredClaims: ['sub', 'exp'],
        clockTolerance: 5,
      });
      const held = payload[claim.name];
      if (held !== claim.value && !(Array.isArray(held) && held.includes(claim.value))) return null;
      return typeof payload.sub === 'string' && SUBJECT.test(payload.sub) ? payload.sub : null;
    } catch (error) {
      if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) throw error;
      // What the endpoint answers when it is out of order.
      if (error.code === 'ERR_JOSE_GENERIC' || error.code === 'ERR_JWKS_INVALID') throw error;
      return null;
    }
  };
}
