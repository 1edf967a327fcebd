import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify';
import { FAILURES, Refusal, type FailureCode } from '../domain/failures.ts';
import { errorReply, replyTo, UnreadableRequest } from './errors.ts';
import { newId } from '../postgres/new-id.ts';
import { faultFacts } from './logging.ts';
import type { Headers } from './security-headers.ts';

const RETRY_SECONDS = 2;

/** Every answer that is not a success, in one shape: from handlers, from the framework, and for paths that are none. */
export function answerErrors(app: FastifyInstance): void {
  const routes: { readonly path: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const path = new RegExp(`^${url.replace(/:[a-z_]+/g, '[^/]+').replace(/\/$/, '')}/?$`);
    routes.push({ path, methods: [method].flat() });
  });

  app.setErrorHandler((error, request, reply) => {
    const answer = replyTo(refusalOfBody(error, request) ?? error);
    const { status, body, fault } =
      answer.fault && wasCutOff(request) ? replyTo(new UnreadableRequest(CUT_OFF)) : answer;
    // Whatever is away or too busy may be back soon; whoever knows more has said so.
    if (status === 503 && !reply.hasHeader('retry-after')) void reply.header('retry-after', RETRY_SECONDS);
    if (fault) request.log.error({ fault: faultFacts(error) }, 'request failed');
    return reply.code(status).send(body);
  });

  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = new Set(routes.flatMap((route) => (route.path.test(path) ? route.methods : [])));
    const allowed = [...methods].sort().join(', ');
    if (allowed !== '') void reply.header('allow', allowed);
    const { status, body } =
      allowed === ''
        ? errorReply('not_found')
        : errorReply('method_not_allowed', `${FAILURES.method_not_allowed.detail} It answers ${allowed}.`);
    return reply.code(status).send(body);
  });
}

/** What the framework finds wrong with a body before it is read, with the limit or the types of its route. */
function refusalOfBody(error: unknown, { routeOptions }: FastifyRequest): Refusal | null {
  const { code } = error as { readonly code?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const most = sizeOf(routeOptions.bodyLimit);
    return new Refusal('payload_too_large', { detail: `The request body is larger than this route accepts: ${most}.` });
  }
  if (code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return null;
  const { bodyType = 'application/json', otherBodyTypes = [] } = routeOptions.config.contract ?? {};
  const types = [bodyType, ...otherBodyTypes].join(', ').replace(/, ([^,]+)$/, ' or $1');
  return new Refusal('unsupported_media_type', { detail: `Send the body as ${types}.` });
}

/** Whoever hung up in the middle of a body is told nothing, and it is no fault of ours. */
function wasCutOff({ raw }: FastifyRequest): boolean {
  return raw.readableAborted && !raw.complete;
}

const CUT_OFF = 'The request ended before its body.';

function sizeOf(bytes: number): string {
  const KIB = 1024;
  return bytes % (KIB * KIB) === 0 ? `${bytes / KIB / KIB} MiB` : `${Math.floor(bytes / KIB)} KiB`;
}

const CLIENT_ERRORS: Readonly<Record<string, 408 | 431>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

const UNREADABLE = {
  400: 'The request is not readable as HTTP/1.1.',
  431: 'The path and headers of the request are larger than 16 KiB.',
} as const;

/**
 * Options of the framework for what it refuses before any hook runs: our own answers there too.
 *
 * @param app that has {@link answerErrors}
 * @param headers that every answer carries
 */
export function answersOfFramework(app: () => FastifyInstance, headers: Headers) {
  return {
    clientErrorHandler: (error, socket) => {
      if (socket.writable) socket.end(clientErrorAnswer(error.code ?? '', { ...headers, 'x-request-id': newId() }));
      else socket.destroy();
    },
    frameworkErrors: (error, request, reply) => {
      void reply.headers({ ...headers, 'x-request-id': request.id });
      app().errorHandler(error, request, reply);
    },
  } satisfies FastifyServerOptions;
}

/** The answer to bytes that are no HTTP request, written to the socket itself. @param headers that every answer carries */
function clientErrorAnswer(code: string, headers: Headers): string {
  const status = CLIENT_ERRORS[code] ?? 400;
  const told: { detail: string; code: FailureCode } =
    status === 408
      ? { detail: 'The headers of the request did not arrive in time.', code: 'request_timeout' }
      : { detail: UNREADABLE[status], code: 'invalid_request' };
  const body = JSON.stringify(told);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${body.length}`,
    'connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    body,
  ].join('\r\n');
}
