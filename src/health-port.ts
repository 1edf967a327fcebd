import { createServer } from 'node:http';

/**
 * Answers `GET /healthz` on 127.0.0.1 for a process that has no API of its own, e.g. for a container's health check.
 *
 * @param isWell asked at each request: 200 or 503
 * @returns stops answering
 */
export async function serveHealth(port: number, isWell: () => boolean): Promise<() => void> {
  const server = createServer((_request, response) => {
    response.writeHead(isWell() ? 200 : 503).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  return () => void server.close();
}
