import type { Server } from 'node:http';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

/** Longer than callers who keep a connection busy leave between two requests. */
const LAST_MS = 1_000;
/** A process this busy never has a turn without a caller. */
const PATIENCE_MS = 1_000;
/** What comes meanwhile would wait unseen, and be reset. */
const QUIET_TURN_MS = 1;

/**
 * Takes leave of callers without resetting a connection under a request. For a second everything is still answered, and
 * each answer says that it is its connection's last (RFC 9112 9.6). The listener and idle connections are closed in a turn of the
 * event loop in which nobody called. Resolves when no connection is open.
 */
export async function sayLastAnswers(server: Server): Promise<void> {
  let calls = 0;
  const count = () => void (calls += 1);
  server.on('connection', count).on('request', count);
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  await sleep(LAST_MS);
  // The system takes connections in before we see them, and resets those that we have not seen when we stop to listen.
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const [before, begun] = [calls, performance.now()];
    await turn();
    const now = performance.now();
    if ((calls === before && now - begun < QUIET_TURN_MS) || now > deadline) break;
  }
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
