import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { TemporalCodec } from '../crypto/temporal-codec.ts';
import { Refusal } from '../domain/failures.ts';
import type { Decoding } from '../postgres/codec-events.ts';
import { newId } from '../postgres/new-id.ts';
import { limitBodyTime } from './body-time.ts';
import { bearerOf, signInPage, type Operators } from './codec-auth.ts';
import { CONNECTION_LIMITS, limitConnections, serverOptions } from './connection-limits.ts';
import { answerErrors, answersOfFramework } from './error-answers.ts';
import { acceptJsonBodies } from './json-body.ts';
import { faultFacts, LOG_SERIALIZERS } from './logging.ts';
import { securityHeaders, setOnEveryAnswer } from './security-headers.ts';

/** What the codec server stands on. */
export interface CodecAppDeps {
  readonly codec: TemporalCodec;
  /** The only namespace that is served. */
  readonly namespace: string;
  /** The only origin whose pages are answered. */
  readonly uiOrigin: string;
  readonly operators: Operators;
  /** Writes it into the audit trail; nothing is decoded when that fails. */
  readonly audit: (decoding: Decoding) => Promise<void>;
  /** What keeps the audit trail from being written, as a sentence for an operator; null when nothing does. Never rejects. */
  readonly auditProblem: () => Promise<string | null>;
  readonly logger: Logger | false;
}

/** Temporal takes messages of 4 MiB; base64 makes a third more of them. */
const BODY_LIMIT = 6 * 1024 * 1024;
const CONNECTIONS = 200;
const BASE64 = z.string().regex(/^[\w+/-]*={0,2}$/, 'must be base64');
const PAYLOADS = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), BASE64).default({}), data: BASE64.default('') }))
    .max(10_000),
});

/**
 * The codec server: Temporal's Web UI and command line have payloads decoded by it (`POST /decode`). There is no
 * `/encode`: nobody has to send our runs a payload by hand, since they take nothing from messages but the wake-up.
 */
export function buildCodecApp(deps: CodecAppDeps): FastifyInstance {
  const limits = { ...CONNECTION_LIMITS, connections: CONNECTIONS };
  const headers = securityHeaders(deps.uiOrigin);
  const app: FastifyInstance = fastify({
    ...(deps.logger !== false && { loggerInstance: quiet(deps.logger) }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    ...serverOptions(limits),
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    genReqId: () => newId(),
    routerOptions: { ignoreTrailingSlash: true },
    ...answersOfFramework(() => app, headers),
  });
  limitConnections(app, limits);
  setOnEveryAnswer(app, headers);
  acceptJsonBodies(app);
  limitBodyTime(app, limits.bodyMs);
  answerErrors(app);
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id).header('vary', 'origin');
    if (request.headers.origin === deps.uiOrigin) {
      void reply.headers({
        'access-control-allow-origin': deps.uiOrigin,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'x-request-id',
      });
    }
    done();
  });
  const signedIn = signInPage(app, deps.operators.tokens, deps.uiOrigin.startsWith('https:'));

  app.get('/healthz', async (_request, reply) => {
    const audit = await deps.auditProblem();
    if (audit === null) return { status: 'ok' };
    return reply.code(503).send({ status: 'unavailable', audit });
  });

  app.options('/decode', (request, reply) => {
    refuseOtherOrigins(request, deps.uiOrigin);
    return reply
      .code(204)
      .headers({
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'authorization, content-type, x-namespace',
        'access-control-max-age': '600',
      })
      .send();
  });

  const operators = new WeakMap<FastifyRequest, string>();
  app.route({
    method: 'POST',
    url: '/decode',
    // Before the body is read.
    onRequest: async (request, reply) => {
      refuseOtherOrigins(request, deps.uiOrigin);
      const { authorization, cookie } = request.headers;
      const operator =
        authorization === undefined ? signedIn.of(cookie) : await bearer(request, deps.operators, authorization);
      if (operator === null) {
        void reply.header('www-authenticate', 'Bearer');
        throw new Refusal('authentication_failed', {
          detail: `Send an operator's token as "Authorization: Bearer <token>", or sign in at /sign-in.`,
        });
      }
      if (request.headers['x-namespace'] !== deps.namespace) {
        throw new Refusal('permission_denied', {
          detail: 'This codec server is not for the namespace in X-Namespace.',
        });
      }
      operators.set(request, operator);
    },
    handler: async (request) => {
      const body = PAYLOADS.safeParse(request.body);
      if (!body.success) {
        throw new Refusal('invalid_request', { detail: 'Send {"payloads": […]} as Temporal’s tools do.' });
      }
      const { payloads } = body.data;
      if (payloads.length === 0) {
        // Whoever looks whether it works sends none.
        const problem = await deps.auditProblem();
        if (problem !== null) throw new Refusal('service_unavailable', { detail: `The audit trail: ${problem}.` });
        return { payloads: [] };
      }
      const decoding = {
        operator: operators.get(request) ?? '',
        requestId: request.id,
        namespace: deps.namespace,
        payloads: payloads.length,
      };
      await deps.audit(decoding).catch((error: unknown) => {
        request.log.error({ fault: faultFacts(error) }, 'nothing is decoded: the audit trail cannot be written');
        throw new Refusal('service_unavailable', { detail: 'The audit trail cannot be written. Try again shortly.' });
      });
      request.log.info({ ...decoding, security: 'payloads_decoded' }, 'payloads decoded');
      return { payloads: await Promise.all(payloads.map((payload) => shown(deps.codec, payload))) };
    },
  });
  return app;
}

function quiet(logger: Logger): FastifyBaseLogger {
  return logger.child({}, { serializers: LOG_SERIALIZERS });
}

async function bearer(request: FastifyRequest, operators: Operators, header: string): Promise<string | null> {
  try {
    return await bearerOf(operators, header);
  } catch (error) {
    request.log.error({ fault: faultFacts(error) }, 'the keys of the single sign-on cannot be had');
    throw new Refusal('service_unavailable', { detail: 'The single sign-on does not answer. Try again shortly.' });
  }
}

/** Pages of other origins could not read the answer, and shall not have it made. */
function refuseOtherOrigins({ headers }: FastifyRequest, uiOrigin: string): void {
  if (headers.origin !== undefined && headers.origin !== uiOrigin) {
    throw new Refusal('permission_denied', { detail: 'Pages of this origin are not answered.' });
  }
}

type WirePayload = z.output<typeof PAYLOADS>['payloads'][number];

/** The payload as the run reads it; for one that the run would not take, why. */
async function shown(codec: TemporalCodec, { metadata, data }: WirePayload): Promise<WirePayload> {
  const bytes = Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')] as const);
  const revealed = await codec.reveal({ metadata: Object.fromEntries(bytes), data: Buffer.from(data, 'base64') });
  const { payload } =
    'payload' in revealed
      ? revealed
      : {
          payload: {
            metadata: { encoding: Buffer.from('json/plain') },
            data: Buffer.from(JSON.stringify({ refused: revealed.refused })),
          },
        };
  return {
    metadata: Object.fromEntries(
      Object.entries(payload.metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    ),
    data: Buffer.from(payload.data ?? []).toString('base64'),
  };
}
