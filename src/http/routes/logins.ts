import type { FastifyInstance, FastifyRequest } from 'fastify';
import { checkPassword } from '../../accounts/log-in.ts';
import type { Passwords } from '../../accounts/passwords.ts';
import { newRefreshToken, refreshTokenDigest } from '../../accounts/refresh-tokens.ts';
import { Refusal } from '../../domain/failures.ts';
import { PLATFORM_ID } from '../../domain/ids.ts';
import { endLogin, endLoginOfUsedToken, insertLogin, rotateRefreshToken } from '../../postgres/logins.ts';
import type { HandoffTransaction } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { accountOf, actorOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { notRefused, refusal, tokensBody, tooEarly, type NewTokens } from '../login-answers.ts';
import { limitCall } from '../rate-limit.ts';
import { parseBody } from '../requests.ts';
import { accountContracts, loginBody, logoutBody, refreshBody } from '../schemas/accounts.ts';

/** A hash of a password costs us more than its asker. */
const LOGINS = { limit: 30, windowSeconds: 60 };

const BUSY = 'Other logins of this address are being checked. Try again after the time in Retry-After.';
/** A password is checked in less. */
const BUSY_SECONDS = 2;

/** Logging in, refreshing a login, and logging out. */
export function loginRoutes(
  app: FastifyInstance,
  { tenants, accessTokenKey }: Pick<AppDeps, 'tenants' | 'accessTokenKey'>,
  passwords: Passwords,
): void {
  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/login/',
    config: { needs: 'public', contract: accountContracts.login },
    handler: async (request, reply) => {
      const call = parseBody(loginBody, request);
      const address = app.rateLimiter.addressBucket(request.ip);
      await limitCall(reply, { bucket: `login:${address}`, ...LOGINS });
      const answer = await checkPassword(tenants, passwords, call, actorOf(request));
      if (answer.state === 'busy') throw tooEarly(reply, BUSY_SECONDS, 'rate_limited', BUSY);
      if (answer.state === 'locked') throw tooEarly(reply, answer.retryAfterSeconds, 'account_locked');
      if (answer.state === 'wrong') throw new Refusal('invalid_credentials');
      const { accountId } = answer.account;
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<{ tokens: NewTokens | null }>(request, sql, {
          run: async () => {
            const refresh = newRefreshToken();
            const login = await insertLogin(sql, { loginId: tx.newId(), accountId, refreshSha256: refresh.sha256 });
            const tokens = { login, refreshToken: refresh.text };
            record(tx, request, 'account.logged_in', accountId);
            return { status: 200, resourceId: login.loginId, result: { tokens } };
          },
          replay: async () => ({ tokens: null }),
        }),
      );
      answerWith(reply, outcome);
      return { ...(await tokensBody(accessTokenKey, outcome.result.tokens)), message: 'Logged in.' };
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/refresh/',
    config: { needs: 'public', contract: accountContracts.refresh },
    handler: async (request, reply) => {
      const { refresh_token: given } = parseBody(refreshBody, request);
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<Refusal | { tokens: NewTokens | null }>(request, sql, {
          run: async () => {
            const sha256 = refreshTokenDigest(given);
            const next = newRefreshToken();
            const login = await rotateRefreshToken(sql, sha256, next.sha256);
            if (login === null) {
              const accountId = await endLoginOfUsedToken(sql, sha256);
              if (accountId !== null) record(tx, request, 'account.logged_out', accountId, 'refresh_token_reused');
              return refusal(new Refusal('authentication_failed'));
            }
            const tokens = { login, refreshToken: next.text };
            return { status: 200, resourceId: login.loginId, result: { tokens } };
          },
          replay: async () => ({ tokens: null }),
        }),
      );
      const { tokens } = notRefused(outcome.result);
      answerWith(reply, outcome);
      return tokensBody(accessTokenKey, tokens);
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/logout/',
    config: { needs: 'account', contract: accountContracts.logout },
    handler: async (request, reply) => {
      const { loginId, accountId } = accountOf(request);
      parseBody(logoutBody, request);
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<true>(request, sql, {
          run: async () => {
            endLogin(sql, loginId);
            record(tx, request, 'account.logged_out', accountId);
            return { status: 200, resourceId: loginId, result: true };
          },
          replay: async () => true,
        }),
      );
      answerWith(reply, outcome);
      return { message: 'Logged out.' };
    },
  });
}

/** Notes what became of a person's login; who has proven who they are acts as that person. */
function record(
  { events }: HandoffTransaction,
  request: FastifyRequest,
  type: 'account.logged_in' | 'account.logged_out',
  accountId: string,
  reason?: 'refresh_token_reused',
): void {
  const caller = actorOf(request);
  const actor = reason === undefined ? ({ ...caller, kind: 'account', id: accountId } as const) : caller;
  events.record([{ type, applicationId: PLATFORM_ID, subjectId: accountId, reason }], actor);
}
