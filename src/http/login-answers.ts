import type { FastifyReply } from 'fastify';
import { ACCESS_TOKEN_SECONDS, signAccessToken } from '../crypto/access-token.ts';
import { Refusal } from '../domain/failures.ts';
import type { LoginRow } from '../postgres/logins.ts';
import type { Effect } from './idempotency.ts';

/** What a login is answered with. */
export interface NewTokens {
  readonly login: LoginRow;
  readonly refreshToken: string;
}

/** A login's tokens; none in a replay (null), which says so: they are shown once. */
export async function tokensBody(accessTokenKey: Uint8Array, tokens: NewTokens | null) {
  if (tokens === null) {
    return {
      access_token: null,
      refresh_token: null,
      expires_in: ACCESS_TOKEN_SECONDS,
      secret_replayed: true as const,
    };
  }
  const { login, refreshToken } = tokens;
  return {
    access_token: await signAccessToken(accessTokenKey, { ...login, issuedAt: login.now }),
    refresh_token: refreshToken,
    expires_in: ACCESS_TOKEN_SECONDS,
  };
}

/** A refusal whose transaction is committed all the same: it counted a try, or ended a login. */
export function refusal(result: Refusal): Effect<Refusal> {
  return { status: 0, resourceId: '', result, unfinished: true };
}

/** @throws the refusal that a committed transaction came to */
export function notRefused<T>(result: Refusal | T): T {
  if (result instanceof Refusal) throw result;
  return result;
}

/** A refusal that says in `Retry-After` when it ends; `detail` is a sentence in place of the code's own. */
export function tooEarly(
  reply: FastifyReply,
  seconds: number,
  code: 'rate_limited' | 'account_locked',
  detail?: string,
): Refusal {
  void reply.header('retry-after', seconds);
  return new Refusal(code, detail === undefined ? {} : { detail });
}
