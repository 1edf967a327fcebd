import type { FastifyInstance, FastifyReply } from 'fastify';
import { createDevelopmentMailer } from '../../accounts/development-mailer.ts';
import { checkPassword } from '../../accounts/log-in.ts';
import { createOneTimeCodes } from '../../accounts/one-time-codes.ts';
import { createPasswords } from '../../accounts/passwords.ts';
import { createPostOffice } from '../../accounts/post-office.ts';
import { newRefreshToken, refreshTokenDigest } from '../../accounts/refresh-tokens.ts';
import { registerAccount, renewCode, type Mail } from '../../accounts/register.ts';
import { verifyEmail } from '../../accounts/verify-email.ts';
import { ACCESS_TOKEN_SECONDS, signAccessToken } from '../../crypto/access-token.ts';
import { Refusal } from '../../domain/failures.ts';
import {
  endLogin,
  endLoginOfUsedToken,
  insertLogin,
  rotateRefreshToken,
  type LoginRow,
} from '../../postgres/logins.ts';
import { readOwnApplication, type OwnApplication } from '../../postgres/organizations.ts';
import type { AppDeps } from '../app.ts';
import { accountOf } from '../auth.ts';
import { answerWith, oncePerKey, type Effect } from '../idempotency.ts';
import { limitCall } from '../rate-limit.ts';
import { parseBody, parseQuery } from '../requests.ts';
import {
  accountContracts,
  codeQuery,
  loginBody,
  logoutBody,
  refreshBody,
  registerBody,
  resendBody,
  verifyBody,
} from '../schemas/accounts.ts';

const REGISTRATIONS = { limit: 5, windowSeconds: 3600 };
/** A hash of a password costs us more than its asker. */
const LOGINS = { limit: 30, windowSeconds: 60 };

/** A login's tokens, or null in a replay: they are shown once. */
interface NewTokens {
  readonly login: LoginRow;
  readonly refreshToken: string;
}

/** Registering, proving an address, logging in: Didit's routes (contract/didit-api.md 3.4). */
export function accountRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { tenants, accessTokenKey } = deps;
  const codes = createOneTimeCodes(accessTokenKey);
  const passwords = createPasswords(deps.passwordCost);
  const development = deps.showCodes
    ? createDevelopmentMailer((code) => app.log.info({ code }, 'one-time code, shown in development only'))
    : null;
  const mailer = deps.mailer ?? development;
  const postOffice =
    mailer === null
      ? null
      : createPostOffice(mailer, (error) => {
          const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
          // Its message quotes the address.
          app.log.error({ mail: { code, response_code: responseCode } }, 'a mail could not be sent');
        });
  app.addHook('onClose', () => postOffice?.idle());

  const openPostOffice = () => {
    if (postOffice === null) throw new Refusal('registration_closed');
    return postOffice;
  };

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/register/',
    config: { needs: 'public', contract: accountContracts.register },
    handler: async (request, reply) => {
      const post = openPostOffice();
      const { email, password } = parseBody(registerBody, request);
      const address = app.rateLimiter.addressBucket(request.ip);
      await limitCall(reply, { bucket: `register:${address}`, ...REGISTRATIONS });
      const passwordHash = await passwords.hash(password);
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<{ mail: Mail | null }>(request, sql, {
          run: async () => {
            const { accountId, mail } = await registerAccount(tx, sql, codes, { email, passwordHash });
            return { status: 201, resourceId: accountId, result: { mail } };
          },
          replay: async () => ({ mail: null }),
        }),
      );
      if (outcome.result.mail !== null) post.send(outcome.result.mail);
      answerWith(reply, outcome);
      return { message: 'A code to verify this address is on its way.', email };
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/verify-email/',
    config: { needs: 'public', contract: accountContracts.verifyEmail },
    handler: async (request, reply) => {
      const { email, code } = parseBody(verifyBody, request);
      const outcome = await tenants.acrossTenants('provision', (tx, sql) => {
        const render = (applicationId: string) => readOwnApplication(sql, applicationId);
        return oncePerKey<Refusal | { own: OwnApplication; tokens: NewTokens | null; apiKey: string | null }>(
          request,
          sql,
          {
            run: async () => {
              const made = await verifyEmail(tx, sql, codes, { email, code });
              if (made === null) return refusal('one_time_code_invalid');
              const own = await render(made.applicationId);
              if (own === null) throw new Error('an application that was made is there');
              const result = { own, tokens: made, apiKey: made.apiKey };
              return { status: 200, resourceId: made.applicationId, result };
            },
            replay: async (applicationId) => {
              const own = await render(applicationId);
              return own === null ? null : { own, tokens: null, apiKey: null };
            },
          },
        );
      });
      const { own, tokens, apiKey } = notRefused(outcome.result);
      answerWith(reply, outcome);
      return {
        ...(await tokensBody(tokens)),
        organization: { uuid: own.organizationId, name: own.organizationName },
        application: { uuid: own.applicationId, name: own.name, client_id: own.clientId, api_key: apiKey },
      };
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/resend-otp/',
    config: { needs: 'public', contract: accountContracts.resend },
    handler: async (request, reply) => {
      const post = openPostOffice();
      const { email } = parseBody(resendBody, request);
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<{ mail: Mail | null }>(request, sql, {
          run: async () => {
            const renewed = await renewCode(tx, sql, codes, email);
            if ('waitSeconds' in renewed) throw tooEarly(reply, renewed.waitSeconds, 'rate_limited');
            // Of an address without an account, too: the answer tells neither.
            return { status: 200, resourceId: tx.newId(), result: { mail: renewed.mail } };
          },
          replay: async () => ({ mail: null }),
        }),
      );
      if (outcome.result.mail !== null) post.send(outcome.result.mail);
      answerWith(reply, outcome);
      return { message: 'If this address waits for a code, a new one is on its way.' };
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/login/',
    config: { needs: 'public', contract: accountContracts.login },
    handler: async (request, reply) => {
      const call = parseBody(loginBody, request);
      const address = app.rateLimiter.addressBucket(request.ip);
      await limitCall(reply, { bucket: `login:${address}`, ...LOGINS });
      const answer = await checkPassword(tenants, passwords, call);
      if (answer.state === 'locked') throw tooEarly(reply, answer.retryAfterSeconds, 'account_locked');
      if (answer.state === 'wrong') throw new Refusal('invalid_credentials');
      const { accountId, organizationId } = answer.account;
      if (organizationId === null) throw new Refusal('email_not_verified');
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<{ tokens: NewTokens | null }>(request, sql, {
          run: async () => {
            const refresh = newRefreshToken();
            const login = await insertLogin(sql, { loginId: tx.newId(), accountId, refreshSha256: refresh.sha256 });
            const tokens = { login, refreshToken: refresh.text };
            return { status: 200, resourceId: login.loginId, result: { tokens } };
          },
          replay: async () => ({ tokens: null }),
        }),
      );
      answerWith(reply, outcome);
      return { ...(await tokensBody(outcome.result.tokens)), message: 'Logged in.' };
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/refresh/',
    config: { needs: 'public', contract: accountContracts.refresh },
    handler: async (request, reply) => {
      const { refresh_token: given } = parseBody(refreshBody, request);
      const outcome = await tenants.acrossTenants('account', (_tx, sql) =>
        oncePerKey<Refusal | { tokens: NewTokens | null }>(request, sql, {
          run: async () => {
            const sha256 = refreshTokenDigest(given);
            const next = newRefreshToken();
            const login = await rotateRefreshToken(sql, sha256, next.sha256);
            if (login === null) {
              endLoginOfUsedToken(sql, sha256);
              return refusal('authentication_failed');
            }
            const tokens = { login, refreshToken: next.text };
            return { status: 200, resourceId: login.loginId, result: { tokens } };
          },
          replay: async () => ({ tokens: null }),
        }),
      );
      const { tokens } = notRefused(outcome.result);
      answerWith(reply, outcome);
      return tokensBody(tokens);
    },
  });

  app.route({
    method: 'POST',
    url: '/auth/v2/programmatic/logout/',
    config: { needs: 'account', contract: accountContracts.logout },
    handler: async (request, reply) => {
      const { loginId } = accountOf(request);
      parseBody(logoutBody, request);
      parseBody(accountContracts.logout.body, request);
      const outcome = await tenants.acrossTenants('account', (_tx, sql) =>
        oncePerKey<true>(request, sql, {
          run: async () => {
            endLogin(sql, loginId);
            return { status: 200, resourceId: loginId, result: true };
          },
          replay: async () => true,
        }),
      );
      answerWith(reply, outcome);
      return { message: 'Logged out.' };
    },
  });

  if (development !== null) {
    app.route({
      method: 'GET',
      url: '/auth/v2/development/one-time-code/',
      config: { needs: 'public', contract: accountContracts.developmentCode },
      handler: (request) => {
        const { email } = parseQuery(codeQuery, request);
        const code = development.lastCode(email);
        if (code === null) throw new Refusal('not_found');
        return { email, code };
      },
    });
  }

  async function tokensBody(tokens: NewTokens | null) {
    const { login, refreshToken } = tokens ?? {};
    return {
      access_token:
        login === undefined ? null : await signAccessToken(accessTokenKey, { ...login, issuedAt: login.now }),
      refresh_token: refreshToken ?? null,
      expires_in: ACCESS_TOKEN_SECONDS,
      ...(tokens === null && { secret_replayed: true as const }),
    };
  }
}

/** A refusal whose transaction is committed all the same: it counted a try, or ended a login. */
function refusal(code: 'one_time_code_invalid' | 'authentication_failed'): Effect<Refusal> {
  return { status: 0, resourceId: '', result: new Refusal(code), unfinished: true };
}

function notRefused<T>(result: Refusal | T): T {
  if (result instanceof Refusal) throw result;
  return result;
}

function tooEarly(reply: FastifyReply, seconds: number, code: 'rate_limited' | 'account_locked'): Refusal {
  void reply.header('retry-after', seconds);
  return new Refusal(code);
}
