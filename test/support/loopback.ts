import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';

import { testTlsPair } from './tls-pair.ts';

/** A server on loopback that counts what reaches it. */
export type Loopback = { port: number; url: string; connections: () => number; close: () => Promise<void> };

/** Listens on a free port, or on the one given. */
export async function listen(server: NetServer, host = '127.0.0.1', port = 0): Promise<Loopback> {
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `http://${host}:${bound}/hook`,
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) (server as Server).closeAllConnections();
      }),
  };
}

/** An HTTP receiver. */
export function receive(listener: RequestListener, host?: string, port?: number): Promise<Loopback> {
  return listen(createServer(listener), host, port);
}

/** An HTTPS receiver whose self-signed certificate names `receiver.test`. */
export function receiveTls(listener: RequestListener): Promise<Loopback> {
  return listen(createTlsServer(testTlsPair, listener));
}
