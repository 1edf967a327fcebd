import { connect, type Socket } from 'node:net';

/** Ways to keep a connection without a fair use of it, and how many of twenty keep it so. */
const SORTS = { head: 9, body: 6, idle: 4, deaf: 1 } as const;
type Slowness = keyof typeof SORTS;

const DRIP_MS = 2_000;
const AT_ONCE = 50;

/* A process of its own, so that whoever measures is not held up by the crowd: `slow-crowd.ts` starts and asks it. */
const [port, apiKey, count] = [Number(process.argv[2]), process.argv[3] ?? '', Number(process.argv[4])];
const turns = (Object.keys(SORTS) as Slowness[]).flatMap((slowness) =>
  Array.from({ length: SORTS[slowness] }, () => slowness),
);
const dripping = new Map<Socket, string>();
const statuses = new Map<number, number>();
for (let made = 0; made < count; made += AT_ONCE) {
  const next = Array.from({ length: Math.min(AT_ONCE, count - made) }, (_, index) => turns[index % turns.length]);
  await Promise.all(next.map((slowness) => arrive(slowness ?? 'head')));
}
setInterval(() => {
  for (const [socket, drop] of dripping) if (socket.writable) socket.write(drop);
}, DRIP_MS);
process.on('message', () => process.send?.([...statuses]));
process.once('disconnect', () => process.exit());
process.send?.('gathered');

async function arrive(slowness: Slowness): Promise<void> {
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
      dripping.set(socket, 'x');
      break;
    case 'body':
      socket.write(`POST /v1/connections/ ${head}content-type: application/json\r\ncontent-length: 9999\r\n\r\n{`);
      dripping.set(socket, ' ');
      break;
    case 'idle':
      socket.write(`GET /healthz ${head}\r\n`);
      break;
    case 'deaf':
      // More than the buffers between the two hold, and nobody ever reads.
      socket.pause().write(`GET /v1/openapi.json ${head}\r\n`.repeat(10));
      return;
  }
  // Reading is also what tells that the other side has closed.
  socket.once('data', (bytes: Buffer) => {
    const status = Number(bytes.toString('latin1', 9, 12));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
}
