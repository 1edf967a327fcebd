import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { createSecureServer } from 'node:http2';
import { createServer as createNetServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { listen, type Loopback } from '../test/support/loopback.ts';
import type { KeyPair } from './certificates.ts';

/** How a receiver misbehaves once a request has reached it, byte by byte. */
export type Misbehaviour = (socket: Socket) => void;

/** Servers on loopback that keep no rule. */
export interface HostileReceiver {
  /** URL that answers every request in full and at once. */
  answer(status: number, headers?: Readonly<Record<string, string>>): string;
  /** URL of an HTTP server of its own. */
  http(listener: RequestListener): Promise<string>;
  /** URL of a server that writes what it likes when the request's first bytes are there. */
  raw(onRequest: Misbehaviour): Promise<string>;
  /** URL at `localhost` of an HTTPS server that answers 200. */
  tls(pair: KeyPair, options?: ServerOptions): Promise<string>;
  /** The same, with HTTP/2 and nothing else. */
  http2Only(pair: KeyPair): Promise<string>;
  /** URL at which nobody listens. */
  nobody(): Promise<string>;
  close(): Promise<void>;
}

/** Starts the receiver; its servers begin to listen as they are asked for. */
export async function startHostileReceiver(): Promise<HostileReceiver> {
  const servers: Loopback[] = [];
  const sockets = new Set<Socket>();
  const started = async (server: Promise<Loopback>): Promise<Loopback> => {
    const running = await server;
    servers.push(running);
    return running;
  };
  const answers = new Map<string, { status: number; headers: Readonly<Record<string, string>> }>();
  const plain = await started(
    listen(
      createServer((request, response) => {
        request.resume();
        const { status, headers } = answers.get(request.url ?? '') ?? { status: 404, headers: {} };
        response.writeHead(status, headers).end();
      }),
    ),
  );
  const atLocalhost = ({ port }: Loopback) => `https://localhost:${port}/hook`;
  const ok = (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    response.end('ok');
  };

  return {
    answer: (status, headers = {}) => {
      const path = `/answer/${answers.size}`;
      answers.set(path, { status, headers });
      return `http://127.0.0.1:${plain.port}${path}`;
    },
    http: async (listener) => (await started(listen(createServer(listener)))).url,
    raw: async (onRequest) => {
      const server = createNetServer({ allowHalfOpen: true }, (socket) => {
        sockets.add(socket);
        socket.on('error', () => {}).on('close', () => sockets.delete(socket));
        socket.once('data', () => onRequest(socket));
      });
      return (await started(listen(server))).url;
    },
    tls: async (pair, options = {}) => atLocalhost(await started(listen(createTlsServer({ ...pair, ...options }, ok)))),
    http2Only: async (pair) => atLocalhost(await started(listen(createSecureServer({ ...pair, allowHTTP1: false })))),
    nobody: async () => {
      const server = await listen(createServer());
      await server.close();
      return server.url;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

const HEAD = 'HTTP/1.1 200 OK\r\n';

/** Writes a piece again and again until the other side is gone. */
function repeat(socket: Socket, everyMs: number, piece: string): void {
  const timer = setInterval(() => socket.write(piece), everyMs);
  socket.on('close', () => clearInterval(timer));
}

/** Writes a chunk as fast as the other side takes it, up to `total` bytes. */
function pour(socket: Socket, chunk: Buffer, total = Infinity): void {
  let written = 0;
  const more = () => {
    while (!socket.destroyed && written < total) {
      written += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on('drain', more);
  more();
}

const chunkOf = (text: string) => Buffer.from(text.repeat(Math.ceil(65_536 / text.length)));

/** A body of `bytes` bytes that begins at once. */
export const bigBody =
  (bytes: number): Misbehaviour =>
  (socket) => {
    socket.write(`${HEAD}content-length: ${bytes}\r\n\r\n`);
    pour(socket, chunkOf('x'), bytes);
  };

/** A body without a length that never ends. */
export const endlessBody: Misbehaviour = (socket) => {
  socket.write(`${HEAD}\r\n`);
  pour(socket, chunkOf('x'));
};

/** A body that comes byte by byte and never ends. */
export const drippingBody =
  (status: number): Misbehaviour =>
  (socket) => {
    socket.write(`HTTP/1.1 ${status} Whatever\r\ncontent-length: 1000000\r\n\r\n`);
    repeat(socket, 100, '.');
  };

/** A body that is shorter than was said. */
export const cutBody: Misbehaviour = (socket) => void socket.end(`${HEAD}content-length: 100\r\n\r\npartial`);

/** Many times larger once unpacked. */
export function gzipBomb(unpackedBytes: number): Misbehaviour {
  const packed = gzipSync(Buffer.alloc(unpackedBytes));
  return (socket) => {
    socket.write(`${HEAD}content-encoding: gzip\r\ncontent-length: ${packed.length}\r\n\r\n`);
    socket.end(packed);
  };
}

/** Headers that come line by line and never end. */
export const drippingHeaders: Misbehaviour = (socket) => {
  socket.write(HEAD);
  repeat(socket, 100, 'x-drip: 1\r\n');
};

/** Not even the status line comes to its end. */
export const drippingStatus: Misbehaviour = (socket) => {
  socket.write('HTTP/1.1 200 ');
  repeat(socket, 100, 'O');
};

/** The request is never read, and nothing said. */
export const silence: Misbehaviour = (socket) => void socket.pause();

/** Headers of `bytes` bytes each. */
export const bigHeaders =
  (count: number, bytes: number): Misbehaviour =>
  (socket) => {
    const header = `x-long: ${'x'.repeat(bytes)}\r\n`;
    socket.write(HEAD);
    pour(socket, Buffer.from(header), header.length * count);
  };

/** The reply's status is announced again and again, and never told. */
export const informationalStorm: Misbehaviour = (socket) =>
  pour(socket, chunkOf('HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n'));

/** The same, one a tenth of a second. */
export const informationalDrip: Misbehaviour = (socket) => repeat(socket, 100, 'HTTP/1.1 102 Processing\r\n\r\n');

/** The body is nothing but the decoration of a chunk. */
export const endlessChunkExtension: Misbehaviour = (socket) => {
  socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n1;`);
  pour(socket, chunkOf('x'));
};

/** The body ends, and headers follow it without end. */
export const endlessTrailers: Misbehaviour = (socket) => {
  socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n0\r\n`);
  pour(socket, chunkOf('x-trailer: 1\r\n'));
};

/** A reply, and another that nobody asked for. */
export const secondReply: Misbehaviour = (socket) =>
  void socket.write(`${HEAD}content-length: 2\r\n\r\nok${HEAD}content-length: 3\r\n\r\nbad`);

/** Says `text` and cuts the connection. */
export const sayAndReset =
  (text: string): Misbehaviour =>
  (socket) => {
    socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 50));
  };

/** Says `text` and closes its own half of the connection; the other half it goes on reading. */
export const sayAndHalfClose =
  (text: string): Misbehaviour =>
  (socket) => {
    socket.resume();
    socket.end(text);
  };

/** The first frame of an HTTP/2 server: empty settings. */
export const http2Frame: Misbehaviour = (socket) => {
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  repeat(socket, 200, '\0');
};

/** Bytes that are no reply. */
export const garbage: Misbehaviour = (socket) => pour(socket, chunkOf('\u0000ÿ not HTTP at all \n'));
