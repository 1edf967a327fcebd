import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';

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
  request.log.info(
    {
      request_id: request.id,
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
  req: (request: { method?: string; id?: unknown }) => ({ method: request.method, request_id: request.id }),
  res: (reply: { statusCode?: number }) => ({ status: reply.statusCode }),
  err: (error: unknown) => faultFacts(error) as { type: string; message: string; stack: string },
};

/** Whether a logger option is a ready logger. */
export function isLogger(logger: object | boolean): logger is FastifyBaseLogger {
  return typeof logger === 'object' && 'info' in logger && typeof logger.info === 'function';
}
