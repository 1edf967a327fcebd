import { connect, type Socket } from 'node:net';

/** Ways to keep a connection without a fair use of it. */
export type Slowness = 'head' | 'body' | 'idle' | 'deaf';

/** Many slow clients of one server. */
export interface Crowd {
  /** Connections that are open now, of one sort or all. */
  open(slowness?: Slowness): number;
  /** Closes what is left. */
  leave(): void;
}

const DRIP_MS = 2_000;

/**
 * Opens connections, as many of each sort: heads that drip, bodies that drip, such as stay after one answer, and such as
 * ask for much and never read.
 *
 * @param apiKey of an application that may send bodies
 */
export async function gatherCrowd(port: number, apiKey: string, count: number): Promise<Crowd> {
  const sorts: readonly Slowness[] = ['head', 'body', 'idle', 'deaf'];
  const sockets: { readonly slowness: Slowness; readonly socket: Socket }[] = [];
  for (let made = 0; made < count; made += 100) {
    const next = Array.from({ length: Math.min(100, count - made) }, (_, index) => sorts[index % sorts.length] ?? 'head');
    sockets.push(...(await Promise.all(next.map((slowness) => arrive(port, apiKey, slowness)))));
  }
  const dripping = setInterval(() => {
    for (const { slowness, socket } of sockets) {
      if (!socket.writable || (slowness !== 'head' && slowness !== 'body')) continue;
      socket.write(slowness === 'head' ? 'x' : ' ');
    }
  }, DRIP_MS);
  return {
    open: (which) =>
      sockets.filter(({ slowness, socket }) => (which ?? slowness) === slowness && !socket.destroyed).length,
    leave: () => {
      clearInterval(dripping);
      for (const { socket } of sockets) socket.destroy();
    },
  };
}

async function arrive(port: number, apiKey: string, slowness: Slowness) {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', () => resolve());
  });
  const head = `HTTP/1.1\r\nhost: x\r\nx-api-key: ${apiKey}\r\n`;
  switch (slowness) {
    case 'head':
      socket.write(`GET / ${head}x-drips: `);
      break;
    case 'body':
      socket.write(`POST /v1/connections/ ${head}content-type: application/json\r\ncontent-length: 9999\r\n\r\n{`);
      break;
    case 'idle':
      socket.write(`GET /healthz ${head}\r\n`);
      break;
    case 'deaf':
      // Much more than the buffers between the two hold; it stays for as long as nobody reads.
      socket.write(`GET /v1/openapi.json ${head}\r\n`.repeat(20));
      // A paused socket does not see that it was closed: its bytes are counted in and thrown away, very slowly.
      trickle(socket);
      return { slowness, socket };
  }
  // Reading is what tells that the other side has closed.
  socket.resume();
  return { slowness, socket };
}

/** Reads one buffer of a socket every few seconds. */
function trickle(socket: Socket): void {
  socket.pause();
  const reading = setInterval(() => {
    if (socket.destroyed) clearInterval(reading);
    else socket.read();
  }, 5 * DRIP_MS);
  socket.once('close', () => clearInterval(reading));
}
