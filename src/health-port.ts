import { createServer } from 'node:http';

/** Whoever asks is on the same machine, and asks for little. */
const LIMITS = {
  requestTimeout: 5_000,
  headersTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 4_096,
};

/**
 * Answers `GET /healthz` on 127.0.0.1 for a process that has no API of its own, e.g. for a container's health check.
 *
 * @param isWell asked at each request: 200 or 503
 * @returns stops answering
 */
export async function serveHealth(port: number, isWell: () => boolean): Promise<() => void> {
  const server = createServer(LIMITS, (_request, response) => {
    response.writeHead(isWell() ? 200 : 503, { connection: 'close' }).end();
  });
  server.maxConnections = 20;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  return () => void server.close();
}
