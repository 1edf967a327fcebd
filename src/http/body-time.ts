import { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../domain/failures.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Seconds that a body may take to arrive; those of all routes by default. */
    bodySeconds?: number;
    /** Bytes that have to arrive in each second of a body, over each thirtieth of its time; none by default. */
    bodyBytesPerSecond?: number;
  }
}

/** A body's pace is looked at this often in its route's time. */
const LOOKS = 30;

/** Closes the connection when the rest of a body, whose request was answered before it was read, does not come in time. */
function limitRest(app: FastifyInstance, ms: number): void {
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    // An injected request has no connection.
    if (raw instanceof IncomingMessage && !raw.complete) {
      const late = setTimeout(() => raw.socket.destroy(), ms).unref();
      raw.once('close', () => clearTimeout(late));
    }
    done();
  });
}

/**
 * Answers 408 `request_timeout` and closes the connection when a body has not arrived in its route's time.
 *
 * @param ms for routes that give it none of their own
 */
export function limitBodyTime(app: FastifyInstance, ms: number): void {
  limitRest(app, ms);
  app.addHook('preParsing', (request, reply, payload, done) => {
    const { raw } = request;
    if (raw.headers['content-length'] === undefined && raw.headers['transfer-encoding'] === undefined) return done();
    const { bodySeconds: seconds = ms / 1_000, bodyBytesPerSecond: least = 0 } = request.routeOptions.config;
    const refuse = (detail: string) => {
      // Whoever reads the body gets the refusal in its place; where nobody does, nobody waits for it.
      if (payload.listenerCount('error') === 0 || reply.sent) return;
      void reply.header('connection', 'close');
      payload.emit('error', new Refusal('request_timeout', { detail }));
    };
    const late = setTimeout(
      () => refuse(`The request body did not arrive within ${seconds} seconds.`),
      seconds * 1_000,
    ).unref();
    let bytes = raw.socket.bytesRead;
    const slow =
      least === 0
        ? undefined
        : setInterval(
            () => {
              if (raw.socket.bytesRead - bytes < (least * seconds) / LOOKS) {
                refuse(`The request body arrives at less than ${least} bytes a second.`);
              }
              bytes = raw.socket.bytesRead;
            },
            (seconds * 1_000) / LOOKS,
          ).unref();
    const stop = () => {
      clearTimeout(late);
      clearInterval(slow);
    };
    payload.once('end', stop);
    payload.once('close', stop);
    reply.raw.once('close', stop);
    done();
  });
}
