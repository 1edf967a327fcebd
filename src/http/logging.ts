import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger, LoggerOptions } from 'pino';

/** What may be logged of a fault: where it is, never the values that a database error quotes. */
export function faultFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { severity, code, constraint, table, routine } = error as Error & Partial<Record<string, unknown>>;
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  if (typeof severity === 'string') return { type: 'DatabaseError', code, constraint, table, routine, frames };
  return { type: error.name, code, message: error.message, frames };
}

/** One line for each answered request, from an allow-list: no URL, header, body or address. */
export function logAnswer(request: FastifyRequest, reply: FastifyReply): void {
  // Probes come every few seconds and say nothing about customers.
  const level = request.routeOptions.config.needs === 'public' ? 'debug' : 'info';
  request.log[level](
    {
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      application_id: request.caller?.applicationId ?? null,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
    },
    'answered',
  );
}

/** What the framework's own log lines may hold of a request, a reply and an error. */
export const LOG_SERIALIZERS = {
  req: (request: { readonly method?: unknown }) => ({ method: request.method }),
  res: (reply: { readonly statusCode?: unknown }) => ({ status: reply.statusCode }),
  err: faultFacts,
};

/** Whether this is a ready logger, not the options for one. */
export function isLogger(logger: Logger | LoggerOptions): logger is Logger {
  return 'info' in logger && typeof logger.info === 'function';
}
