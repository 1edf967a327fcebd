import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Lab } from './lab.ts';

/** One request as it came. */
export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A receiver that reads whatever comes and answers 204. */
export interface BenchReceiver {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  /** Requests so far. */
  count(): number;
  /** The last request; null before the first. */
  last(): Received | null;
  /** From now on it answers so many milliseconds after a request has come; at first at once. */
  answerAfter(ms: number): void;
}

/** Starts one in this process; it ends with the part. */
export async function startReceiver(lab: Lab): Promise<BenchReceiver> {
  let count = 0;
  let delayMs = 0;
  let last: Received | null = null;
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      count += 1;
      last = { headers: request.headers, body: Buffer.concat(chunks) };
      const answer = () => response.writeHead(204).end();
      if (delayMs === 0) answer();
      else setTimeout(answer, delayMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lab.onEnd(async () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    count: () => count,
    last: () => last,
    answerAfter: (ms) => void (delayMs = ms),
  };
}
