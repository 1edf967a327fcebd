import { connect, type Socket } from 'node:net';

/** Ways to keep a connection without a fair use of it. */
export type Slowness = 'head' | 'body' | 'idle' | 'deaf';

/** Many slow clients of one server. */
export interface Crowd {
  /** First answers that came, by status. */
  answers(): ReadonlyMap<number, number>;
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
  const members: { readonly slowness: Slowness; readonly socket: Socket }[] = [];
  const answers = new Map<number, number>();
  for (let made = 0; made < count; made += 100) {
    const next = Array.from(
      { length: Math.min(100, count - made) },
      (_, index) => sorts[index % sorts.length] ?? 'head',
    );
    const sockets = await Promise.all(next.map((slowness) => arrive(port, apiKey, slowness)));
    for (const [index, socket] of sockets.entries()) {
      members.push({ slowness: next[index] ?? 'head', socket });
      socket.once('data', (bytes: Buffer) => {
        const status = Number(bytes.toString('latin1', 9, 12));
        answers.set(status, (answers.get(status) ?? 0) + 1);
      });
      if (next[index] === 'deaf') socket.pause();
    }
  }
  const dripping = setInterval(() => {
    for (const { slowness, socket } of members) {
      if (!socket.writable || (slowness !== 'head' && slowness !== 'body')) continue;
      socket.write(slowness === 'head' ? 'x' : ' ');
    }
  }, DRIP_MS);
  return {
    answers: () => answers,
    leave: () => {
      clearInterval(dripping);
      for (const { socket } of members) socket.destroy();
    },
  };
}

async function arrive(port: number, apiKey: string, slowness: Slowness): Promise<Socket> {
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
      // More than the buffers between the two hold.
      socket.write(`GET /v1/openapi.json ${head}\r\n`.repeat(20));
      break;
  }
  return socket;
}
