import type { Server } from 'node:http';
import type { FastifyHttpOptions, FastifyInstance } from 'fastify';

/** What one connection may take of the server. Times are milliseconds. */
export interface ConnectionLimits {
  /** From the connection's or request's begin to the end of its headers. */
  readonly headersMs: number;
  /** For a body, where its route gives it no time of its own. */
  readonly bodyMs: number;
  /** With nothing sent or received while a request is under way or an answer waits to be read. */
  readonly silentMs: number;
  /** Between two requests. */
  readonly idleMs: number;
  /** How often headers are looked at. */
  readonly lookEveryMs: number;
  /** Open at a time; what comes beyond them is closed at once. How many of them one address may hold is a proxy's to say. */
  readonly connections: number;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  headersMs: 10_000,
  bodyMs: 30_000,
  // A request may wait this long for a lock of another one and still succeed.
  silentMs: 35_000,
  // Longer than the 60 s for which common proxies keep a connection: none closes under a request.
  idleMs: 72_000,
  lookEveryMs: 5_000,
  connections: 10_000,
};

/** Node's own limit of a whole request: above that of every route, whose answer says more. */
const REQUEST_MS = 6 * 60_000;
const MAX_HEADER_BYTES = 16 * 1024;
const WARN_EVERY_MS = 60_000;

/** The limits as the framework and Node take them. */
export function serverOptions(limits: ConnectionLimits) {
  return {
    requestTimeout: REQUEST_MS,
    connectionTimeout: limits.silentMs,
    keepAliveTimeout: limits.idleMs,
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.lookEveryMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Ours says what is missing.
      requireHostHeader: false,
    },
  } satisfies FastifyHttpOptions<Server>;
}

/** Sets what is no option of the framework's. */
export function limitConnections(app: FastifyInstance, { connections }: ConnectionLimits): void {
  app.server.maxConnections = connections;
  let warnedAt = -Infinity;
  app.server.on('drop', () => {
    if (performance.now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = performance.now();
    app.log.warn({ connections }, 'connections are refused: as many as may be are open');
  });
  // Node would answer 417 by itself; RFC 9110 lets an expectation that is unknown be left aside.
  app.server.on('checkExpectation', (request, response) => void app.server.emit('request', request, response));
}
