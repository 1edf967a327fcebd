import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const handedOut = new Set<number>();

/**
 * Finds a TCP port on 127.0.0.1 that nothing listens on, and never gives the same one twice in this process.
 *
 * @param preferred - the first port to try; a taken one is stepped over, upwards. Without it the search starts at a
 *   random port below the range that systems use for outgoing connections, so that none of those takes it before the server does.
 */
export async function freePort(preferred: number = randomInt(20_000, 31_000)): Promise<number> {
  for (let port = preferred; port < 65_536; port++) {
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port from ${preferred} upwards on 127.0.0.1: end a program that listens there`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
