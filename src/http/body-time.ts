import type { FastifyInstance } from 'fastify';
import { Refusal } from '../domain/failures.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Seconds that a body may take to arrive; 30 by default. */
    bodySeconds?: number;
  }
}

const BODY_SECONDS = 30;
/** Node's own limit of a whole request, in milliseconds: above that of every route, whose answer says more. */
export const REQUEST_TIMEOUT_MS = 6 * 60_000;

/** Answers 408 `request_timeout` and closes the connection when a body has not arrived in its route's time. */
export function limitBodyTime(app: FastifyInstance): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    const { raw } = request;
    if (raw.headers['content-length'] === undefined && raw.headers['transfer-encoding'] === undefined) return done();
    const seconds = request.routeOptions.config.bodySeconds ?? BODY_SECONDS;
    const timer = setTimeout(() => {
      // Whoever reads the body gets the refusal in its place; where nobody does, nobody waits for it.
      if (payload.listenerCount('error') === 0 || reply.sent) return;
      void reply.header('connection', 'close');
      payload.emit('error', tooSlow(seconds));
    }, seconds * 1_000).unref();
    const stop = () => clearTimeout(timer);
    payload.once('end', stop);
    payload.once('close', stop);
    reply.raw.once('close', stop);
    done();
  });
}

function tooSlow(seconds: number): Refusal {
  return new Refusal('request_timeout', { detail: `The request body did not arrive within ${seconds} seconds.` });
}
