import type { JsonObject } from '../../domain/json.ts';

/** Headers of our answers. */
export const HEADERS: JsonObject = {
  XRequestId: { description: 'Names this request; quote it to support.', schema: { type: 'string' } },
  RateLimitLimit: { description: 'Calls of this sort allowed in a minute.', schema: { type: 'integer' } },
  RateLimitRemaining: { description: 'Calls left in this minute.', schema: { type: 'integer' } },
  RateLimitReset: { description: 'Unix seconds of the minute’s end.', schema: { type: 'integer' } },
  RetryAfter: { description: 'Seconds to wait.', schema: { type: 'integer' } },
  IdempotentReplayed: {
    description: '`true` when an earlier request with this Idempotency-Key had the effect.',
    schema: { type: 'string', const: 'true' },
  },
};

/** A reference to one of them. */
export function header(name: keyof typeof HEADERS & string): JsonObject {
  return { $ref: `#/components/headers/${name}` };
}

/** The headers of an answer with this status on a route whose calls are counted: told where they are looked for. */
export function headersOfStatus(status: number): JsonObject {
  const tellsLimits = status < 300 || status === 429;
  return {
    'X-Request-Id': header('XRequestId'),
    ...(tellsLimits && {
      'X-RateLimit-Limit': header('RateLimitLimit'),
      'X-RateLimit-Remaining': header('RateLimitRemaining'),
      'X-RateLimit-Reset': header('RateLimitReset'),
    }),
    ...((status === 429 || status === 503) && { 'Retry-After': header('RetryAfter') }),
  };
}
