import type { FastifyInstance } from 'fastify';

/** Headers of an answer, by lower-case name. */
export type Headers = Readonly<Record<string, string>>;

/**
 * What every answer carries, unless its route says otherwise: nobody keeps it, frames it, guesses its type or runs anything
 * of it. There is no CORS: pages of other origins cannot read answers, which is as it should be for calls with an API key.
 *
 * @param publicUrl our origin as clients reach it; with https they are told to stay there
 */
export function securityHeaders(publicUrl: string): Headers {
  return {
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...(publicUrl.startsWith('https:') && { 'strict-transport-security': 'max-age=31536000' }),
  };
}

/** Sets them before anything can refuse a request; a route's own replace them. To be called before other hooks are added. */
export function setOnEveryAnswer(app: FastifyInstance, headers: Headers): void {
  app.addHook('onRequest', (_request, reply, done) => {
    void reply.headers(headers);
    done();
  });
}
