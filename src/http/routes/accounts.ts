import type { FastifyInstance } from 'fastify';
import { createDevelopmentMailer } from '../../accounts/development-mailer.ts';
import { createOneTimeCodes } from '../../accounts/one-time-codes.ts';
import { createPasswords, createSalts } from '../../accounts/passwords.ts';
import { createPostOffice } from '../../accounts/post-office.ts';
import { registerAccount, renewCode, type Mail } from '../../accounts/register.ts';
import { verifyEmail } from '../../accounts/verify-email.ts';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import { readOwnApplication, type OwnApplication } from '../../postgres/organizations.ts';
import type { AppDeps } from '../app.ts';
import { actorOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { notRefused, refusal, tokensBody, tooEarly, type NewTokens } from '../login-answers.ts';
import { limitCall } from '../rate-limit.ts';
import { parseBody, parseQuery } from '../requests.ts';
import { accountContracts, codeQuery, CONTESTED, registerBody, resendBody, verifyBody } from '../schemas/accounts.ts';
import { loginRoutes } from './logins.ts';

const HOUR = 3600;

/** What a proven address is answered with; its tokens and its key are shown once. */
interface Proven {
  readonly own: OwnApplication;
  readonly tokens: NewTokens | null;
  readonly apiKey: string | null;
}

/** Registering, proving an address, and with `loginRoutes` logging in: Didit's routes (contract/didit-api.md 3.4). */
export function accountRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { tenants, accessTokenKey } = deps;
  const codes = createOneTimeCodes(accessTokenKey);
  const passwords = createPasswords(deps.passwordCost);
  const saltOf = createSalts(accessTokenKey);
  const development =
    deps.showCodes && deps.mailer === null
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
      await limitCall(reply, {
        bucket: `register:${address}`,
        limit: deps.registrationsPerHour,
        windowSeconds: HOUR,
      });
      const passwordHash = await passwords.hash(password, saltOf(email));
      const outcome = await tenants.acrossTenants('account', (tx, sql) =>
        oncePerKey<{ mail: Mail | null }>(request, sql, {
          run: async () => {
            const { accountId, mail } = await registerAccount(
              tx,
              sql,
              codes,
              { email, passwordHash },
              actorOf(request),
            );
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
      const { password, ...proof } = parseBody(verifyBody, request);
      const verify = (passwordHash: string | null) =>
        tenants.acrossTenants('provision', (tx, sql) => {
          const render = (applicationId: string) => readOwnApplication(sql, applicationId);
          return oncePerKey<Refusal | Proven>(request, sql, {
            run: async () => {
              const call = { ...proof, bringsPassword: password !== undefined, passwordHash, requestId: request.id };
              const made = await verifyEmail(tx, sql, codes, call);
              if (made === 'code_invalid') return refusal(new Refusal('one_time_code_invalid'));
              if (made === 'password_wanted') return refusal(invalidFields({ password: [CONTESTED] }));
              const own = await render(made.applicationId);
              if (own === null) throw new Error('an application that was made is there');
              const result = { own, tokens: made, apiKey: made.apiKey };
              return { status: 200, resourceId: made.applicationId, result };
            },
            replay: async (applicationId) => {
              const own = await render(applicationId);
              return own === null ? null : { own, tokens: null, apiKey: null };
            },
          });
        });
      let outcome = await verify(null);
      // Only a right code is worth the hash.
      const wanted = outcome.result instanceof Refusal && outcome.result.field === 'password';
      if (wanted && password !== undefined) outcome = await verify(await passwords.hash(password));
      const { own, tokens, apiKey } = notRefused(outcome.result);
      answerWith(reply, outcome);
      return {
        ...(await tokensBody(accessTokenKey, tokens)),
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
            const renewed = await renewCode(tx, sql, codes, email, actorOf(request));
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

  loginRoutes(app, deps, passwords);

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
}
