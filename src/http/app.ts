import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerOptions,
} from 'fastify';
import pino, { type Logger, type LoggerOptions } from 'pino';
import { createKeyChecker } from '../accounts/key-checker.ts';
import { createKeyUse } from '../accounts/key-use.ts';
import type { PasswordCost } from '../accounts/passwords.ts';
import type { Mailer } from '../accounts/ports.ts';
import type { RateLimits } from '../config.ts';
import { readAccessToken } from '../crypto/access-token.ts';
import type { ShareTokenKeys } from '../crypto/share-token-keys.ts';
import { mediaUrls } from '../media/links.ts';
import type { MediaStore } from '../media/ports.ts';
import { findApiKey, noteKeyUse } from '../postgres/api-keys.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { findLogin } from '../postgres/logins.ts';
import { newId } from '../postgres/new-id.ts';
import { leaseCalls } from '../postgres/rate-limits.ts';
import type { DecisionStyle } from '../sharing/decision.ts';
import type { WebhookUrlRules } from '../webhooks/address-guard.ts';
import { authHook } from './auth.ts';
import { limitBodyTime } from './body-time.ts';
import { CONNECTION_LIMITS, limitConnections, serverOptions, type ConnectionLimits } from './connection-limits.ts';
import { answerErrors, answersOfFramework } from './error-answers.ts';
import { UnreadableRequest } from './errors.ts';
import { keepBodiesSecret } from './idempotency.ts';
import { acceptJsonBodies } from './json-body.ts';
import { LOG_SERIALIZERS, isLogger, logAnswer } from './logging.ts';
import { createRateLimiter, limitRefused, limitRoutes } from './rate-limit.ts';
import type { Readiness } from './readiness.ts';
import { securityHeaders, setOnEveryAnswer } from './security-headers.ts';
import { auditRoutes } from './routes/audit.ts';
import { connectionRoutes } from './routes/connections.ts';
import { healthRoutes } from './routes/health.ts';
import { onboardingRoutes } from './routes/onboardings.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { shareRoutes } from './routes/shares.ts';
import { accountRoutes } from './routes/accounts.ts';
import { organizationRoutes } from './routes/organizations.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { sessionCreationRoutes } from './routes/session-creation.ts';
import { sessionListRoutes } from './routes/session-list.ts';
import { sessionDeletionRoutes } from './routes/session-deletion.ts';
import { sessionReviewRoutes } from './routes/session-reviews.ts';
import { sessionImportRoutes } from './routes/session-imports.ts';
import { ingestionRoutes } from './routes/ingestion.ts';
import { mediaRoutes } from './routes/media.ts';
import { verificationWorkflowRoutes } from './routes/verification-workflows.ts';
import { entityRoutes } from './routes/entities.ts';
import { webhookDeliveryRoutes } from './routes/webhook-deliveries.ts';
import { describeRoutes, documentationRoutes } from './routes/documentation.ts';
import { webhookDestinationRoutes } from './routes/webhook-destinations.ts';
import { webhookRepairRoutes } from './routes/webhook-repair.ts';
import { webhookSecretRoutes } from './routes/webhook-secrets.ts';

/** What the app stands on. */
export interface AppDeps {
  readonly tenants: HandoffTenants;
  readonly shareTokenKeys: ShareTokenKeys;
  readonly style: DecisionStyle;
  /** Where webhook destinations may point to. */
  readonly webhookUrlRules: WebhookUrlRules;
  /** Signs access tokens of people. */
  readonly accessTokenKey: Uint8Array;
  readonly mailer: Mailer | null;
  /** What a password's hash costs; ours by default. */
  readonly passwordCost?: PasswordCost;
  /** Without a mailer, codes are logged and can be read by a route: development only. */
  readonly showCodes: boolean;
  readonly media: MediaStore;
  readonly mediaLinkKey: Uint8Array;
  /** Our own origin as clients reach it. */
  readonly publicUrl: string;
  readonly rateLimits: RateLimits;
  /** Accounts that one address may register in an hour. */
  readonly registrationsPerHour: number;
  /** Days for which the payloads of events are kept; 30 by default. */
  readonly webhookPayloadDays?: number;
  /** Milliseconds that a synchronous resend of a webhook waits for its end; 5,000 by default. */
  readonly resendWaitMs?: number;
  readonly readiness: () => Promise<Readiness>;
  /** pino's options, a ready logger, or false for silence. */
  readonly logger: Logger | LoggerOptions | false;
  readonly connectionLimits?: Partial<ConnectionLimits>;
  /** Whose `X-Forwarded-*` headers to believe; nobody's by default. */
  readonly trustProxy?: NonNullable<FastifyServerOptions['trustProxy']>;
}

const KIB = 1024;
/** A `vendor_data` of 512 characters of three bytes each, percent-encoded. */
const MAX_PARAM_CHARACTERS = 512 * 3 * '%00'.length;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** Builds the HTTP app. It listens nowhere: `server.ts` does, and tests inject. */
export function buildApp(given: AppDeps): FastifyInstance {
  const deps: AppDeps = { ...given, style: { ...given.style, mediaUrl: mediaUrls(given) } };
  const limits = { ...CONNECTION_LIMITS, ...deps.connectionLimits };
  const headers = securityHeaders(deps.publicUrl);
  const app: FastifyInstance = fastify({
    ...(deps.logger !== false && { loggerInstance: quiet(deps.logger) }),
    ...(deps.trustProxy !== undefined && { trustProxy: deps.trustProxy }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    // A decision document has its own limit.
    bodyLimit: 64 * KIB,
    ...serverOptions(limits),
    // What comes over an open connection while the server closes is answered like the rest.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : newId();
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM_CHARACTERS },
    ...answersOfFramework(() => app, headers),
  });
  setOnEveryAnswer(app, headers);
  limitConnections(app, limits);
  acceptJsonBodies(app);
  limitBodyTime(app, limits.bodyMs);
  answerErrors(app);
  app.decorateRequest('caller', null);
  app.decorateRequest('account', null);
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    const isWhole = request.raw.headers.host !== undefined || request.raw.httpVersion !== '1.1';
    done(isWhole ? undefined : new UnreadableRequest('The request has no Host header: send one.'));
  });
  const checkKey = createKeyChecker((keyId) =>
    deps.tenants.acrossTenants('authenticate', (_tx, sql) => findApiKey(sql, keyId)),
  );
  const keyUse = createKeyUse((keyId) =>
    deps.tenants.acrossTenants('authenticate', async (_tx, sql) => noteKeyUse(sql, keyId)),
  );
  app.addHook(
    'onRequest',
    authHook({
      ofKey: checkKey,
      ofAccessToken: async (token) => {
        const claims = await readAccessToken(deps.accessTokenKey, token);
        if (claims === null) return null;
        return deps.tenants.acrossTenants('authenticate', (_tx, sql) => findLogin(sql, claims));
      },
      keyUsed: (keyId) => keyUse.note(keyId),
      refused: (request, reply) => limitRefused(request, reply, deps.rateLimits),
    }),
  );
  app.addHook('onClose', () => keyUse.idle());
  keepBodiesSecret(app, deps.accessTokenKey);
  limitRoutes(
    app,
    createRateLimiter({
      lease: (budget, wanted) =>
        deps.tenants.acrossTenants('rate_limit', (_tx, sql) => leaseCalls(sql, budget, wanted)),
      key: deps.accessTokenKey,
    }),
    deps.rateLimits,
  );
  describeRoutes(app);
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.needs === undefined) throw new Error(`route ${url} does not say what it needs of a key`);
  });
  app.addHook('onResponse', (request, reply, done) => {
    logAnswer(request, reply);
    done();
  });

  for (const routes of [
    healthRoutes,
    shareRoutes,
    sessionRoutes,
    onboardingRoutes,
    connectionRoutes,
    webhookDestinationRoutes,
    webhookSecretRoutes,
    webhookRepairRoutes,
    accountRoutes,
    organizationRoutes,
    apiKeyRoutes,
    sessionCreationRoutes,
    sessionListRoutes,
    sessionReviewRoutes,
    sessionDeletionRoutes,
    sessionImportRoutes,
    ingestionRoutes,
    mediaRoutes,
    verificationWorkflowRoutes,
    entityRoutes,
    webhookDeliveryRoutes,
    auditRoutes,
    documentationRoutes,
  ]) {
    routes(app, deps);
  }
  return app;
}

/** The logger with serializers that let only an allow-list through, whatever the framework logs. */
function quiet(logger: Logger | LoggerOptions): FastifyBaseLogger {
  return (isLogger(logger) ? logger : pino(logger)).child({}, { serializers: LOG_SERIALIZERS });
}
