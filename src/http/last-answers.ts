import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than callers who keep a connection busy leave between two requests. */
const LAST_MS = 1_000;

/**
 * Lets callers end their connections themselves, so that none is closed while a request comes over it: for a second
 * everything is still answered, and each answer says that it is its connection's last (RFC 9112 9.6).
 */
export async function sayLastAnswers(server: Server): Promise<void> {
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  await sleep(LAST_MS);
}
