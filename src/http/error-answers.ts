import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { errorReply, replyTo } from './errors.ts';
import { faultFacts } from './logging.ts';

/** Every answer that is not a success, in one shape: from handlers, from the framework, and for paths that are none. */
export function answerErrors(app: FastifyInstance): void {
  const paths: RegExp[] = [];
  app.addHook('onRoute', ({ url }) => {
    paths.push(new RegExp(`^${url.replace(/:[a-z_]+/g, '[^/]+').replace(/\/$/, '')}/?$`));
  });

  app.setErrorHandler((error, request, reply) => {
    const { status, body, fault } = replyTo(error);
    if (fault) request.log.error({ fault: faultFacts(error) }, 'request failed');
    return reply.code(status).send(body);
  });

  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const known = paths.some((known) => known.test(path));
    const { status, body } = errorReply(known ? 'method_not_allowed' : 'not_found');
    return reply.code(status).send(body);
  });
}

const CLIENT_ERRORS: Readonly<Record<string, 408 | 431>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/** The answer to bytes that are no HTTP request, written to the socket itself. */
export function clientErrorAnswer(code: string): string {
  const status = CLIENT_ERRORS[code] ?? 400;
  const body = JSON.stringify({ detail: 'The request is not readable as HTTP/1.1.', code: 'invalid_request' });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${body.length}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
