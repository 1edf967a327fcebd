import type { Server } from 'node:http';
import { Server as TcpServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** For whoever spreads calls over several servers to see that this one leaves. */
const LISTEN_MS = 1_000;
/** Longer than callers who use a connection now and then leave between two requests. */
const LINGER_MS = 4_000;

/**
 * Lets callers end their connections themselves, so that none is closed while a request comes over it. For a second all
 * goes on; then new connections are refused, and those that are open are kept until their next answer, four seconds more
 * at most without one. Each answer says that it is its connection's last (RFC 9112 9.6). Resolves when no connection is open.
 */
export async function sayLastAnswers(server: Server): Promise<void> {
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  await sleep(LISTEN_MS);
  // HTTP's own close would end idle connections at once.
  const closed = new Promise<void>((resolve) => void TcpServer.prototype.close.call(server, () => resolve()));
  const ended = new AbortController();
  await Promise.race([closed, sleep(LINGER_MS, undefined, { signal: ended.signal }).catch(() => undefined)]);
  ended.abort();
  server.closeIdleConnections();
  await closed;
}
