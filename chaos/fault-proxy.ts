import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../src/dev/free-port.ts';

/** What is done to the bytes of one direction, or to both; as toxiproxy names them. */
export type Toxic =
  | { readonly kind: 'latency'; readonly ms: number; readonly jitterMs?: number }
  /** Nothing passes any more, and nobody is told. What was sent meanwhile arrives once it is mended. */
  | { readonly kind: 'timeout' }
  /** Every connection is reset, and so is each new one; whatever the direction. */
  | { readonly kind: 'reset_peer' }
  /** Bytes pass in small pieces. */
  | { readonly kind: 'slicer'; readonly bytes: number; readonly delayMs: number }
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** Nothing listens, and every connection is reset; whatever the direction. */
  | { readonly kind: 'down' };

/** From the client to the server, back, or both. */
export type Direction = 'up' | 'down' | 'both';

/** A way to a server on loopback that can be broken. */
export interface FaultProxy {
  /** `127.0.0.1:port`, the same for its life. */
  readonly address: string;
  /**
   * Breaks the way for connections that are open and for new ones; resolves to what mends it, which in turn says how
   * many connections and pieces of bytes were struck: 0 when nobody went that way meanwhile.
   *
   * @throws {Error} when that direction is broken already
   */
  break(toxic: Toxic, direction?: Direction): Promise<() => Promise<number>>;
  close(): Promise<void>;
}

/** What one side sent and the other has not got yet, with the moment at which it came. */
type Piece = { readonly at: number } & ({ readonly bytes: Buffer } | { readonly ending: Ending });

/** That it sends no more; that its connection is lost; or that the connection is closed after all was said. */
type Ending = 'end' | 'lost' | 'closed';

/** Bytes of one direction that are held before its sender has to wait. */
const HELD_BYTES = 1024 * 1024;

/** A bandwidth is kept over stretches of this length. */
const STRETCH_MS = 50;

/** What is wrong with one direction now, and a wake-up for those that wait for it to change. */
class Way {
  toxic: Toxic | null = null;
  /** Pieces that the present toxic kept back, and connections that it reset. */
  struck = 0;
  #change = Promise.withResolvers<void>();

  set(toxic: Toxic | null): void {
    this.toxic = toxic;
    if (toxic !== null) this.struck = 0;
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  changed(): Promise<void> {
    return this.#change.promise;
  }
}

/** Starts a proxy on a free port. @param target port of the server on loopback, which may be down */
export async function startFaultProxy(target: number): Promise<FaultProxy> {
  const port = await freePort();
  const ways = { up: new Way(), down: new Way() };
  const open = new Set<Socket>();
  let closed = false;

  const resetAll = () => {
    ways.up.struck += open.size;
    for (const socket of open) socket.resetAndDestroy();
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (ways.up.toxic?.kind === 'reset_peer') {
      ways.up.struck += 1;
      return void client.on('error', () => undefined).resetAndDestroy();
    }
    const behind = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true });
    for (const socket of [client, behind]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    }
    void carry(client, behind, ways.up);
    void carry(behind, client, ways.down);
  });
  await listen(server, port);

  return {
    address: `127.0.0.1:${port}`,
    break: async (toxic, direction = 'both') => {
      const whole = direction === 'both' || toxic.kind === 'reset_peer' || toxic.kind === 'down';
      const broken = whole ? [ways.up, ways.down] : [ways[direction]];
      if (closed || broken.some((way) => way.toxic !== null)) throw new Error('The way is broken already');
      for (const way of broken) way.set(toxic);
      const unheard = toxic.kind === 'down' ? stopListening(server) : null;
      if (toxic.kind === 'down' || toxic.kind === 'reset_peer') resetAll();
      await unheard;
      let mended = false;
      return async () => {
        const struck = broken.reduce((sum, way) => sum + way.struck, 0);
        if (mended || closed) return struck;
        mended = true;
        for (const way of broken) way.set(null);
        if (toxic.kind === 'down') await listen(server, port);
        return struck;
      };
    },
    close: async () => {
      if (closed) return;
      closed = true;
      const unheard = server.listening ? stopListening(server) : null;
      resetAll();
      for (const way of [ways.up, ways.down]) way.set(null);
      await unheard;
    },
  };
}

/** Takes what one side sends to the other, as the way allows, its end or its loss included. */
async function carry(from: Socket, to: Socket, way: Way): Promise<void> {
  const waiting: Piece[] = [];
  let held = 0;
  let arrival = Promise.withResolvers<void>();
  const take = (piece: Piece) => {
    waiting.push(piece);
    arrival.resolve();
  };
  from.on('data', (bytes: Buffer) => {
    held += bytes.length;
    if (held > HELD_BYTES) from.pause();
    take({ at: performance.now(), bytes });
  });
  from.once('end', () => take({ at: performance.now(), ending: 'end' }));
  from.on('error', () => undefined);
  from.once('close', (failed: boolean) => {
    take({ at: performance.now(), ending: failed || !from.readableEnded ? 'lost' : 'closed' });
  });

  for (;;) {
    const [piece] = waiting;
    if (piece === undefined) {
      arrival = Promise.withResolvers();
      await arrival.promise;
      continue;
    }
    if (await mustWait(piece, way)) continue;
    if ('ending' in piece) {
      waiting.shift();
      if (piece.ending === 'lost') to.resetAndDestroy();
      if (piece.ending !== 'end') return;
      to.end();
      continue;
    }
    const { bytes, thenMs } = portion(piece.bytes, way.toxic);
    if (thenMs > 0) way.struck += 1;
    if (bytes.length < piece.bytes.length) waiting[0] = { ...piece, bytes: piece.bytes.subarray(bytes.length) };
    else waiting.shift();
    // What was lost on the other side, its own carrier tells.
    if (to.writable && !to.write(bytes)) await drained(to);
    held -= bytes.length;
    if (held <= HELD_BYTES && from.isPaused()) from.resume();
    if (thenMs > 0) await pause(thenMs);
  }
}

/** Waits when a piece may not pass yet, and says whether it did: what is wrong may have changed since. */
async function mustWait({ at }: Piece, way: Way): Promise<boolean> {
  const { toxic } = way;
  if (toxic?.kind === 'timeout') {
    way.struck += 1;
    await way.changed();
    return true;
  }
  if (toxic?.kind !== 'latency') return false;
  const left = at + toxic.ms - performance.now();
  if (left > 0) {
    way.struck += 1;
    const enough = new AbortController();
    await Promise.race([pause(left, undefined, { signal: enough.signal }).catch(() => undefined), way.changed()]);
    enough.abort();
    return true;
  }
  if (toxic.jitterMs !== undefined) await pause(Math.random() * toxic.jitterMs);
  return false;
}

/** How much of the bytes passes at once, and how long the rest waits after it. */
function portion(bytes: Buffer, toxic: Toxic | null): { readonly bytes: Buffer; readonly thenMs: number } {
  if (toxic?.kind === 'slicer') return { bytes: bytes.subarray(0, toxic.bytes), thenMs: toxic.delayMs };
  if (toxic?.kind !== 'bandwidth') return { bytes, thenMs: 0 };
  const most = Math.max(1, Math.floor((toxic.bytesPerSecond * STRETCH_MS) / 1000));
  const passing = bytes.subarray(0, most);
  return { bytes: passing, thenMs: (passing.length / toxic.bytesPerSecond) * 1000 };
}

/** Resolves when more may be written, or nothing any more. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.once('drain', done).once('close', done);
    if (socket.destroyed) done();
  });
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Resolves when nothing listens and no connection is left: whoever asks resets them. */
function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
