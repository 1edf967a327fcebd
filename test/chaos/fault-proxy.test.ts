import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFaultProxy, type FaultProxy } from '../../chaos/fault-proxy.ts';

/** Long enough for what may pass on loopback to have passed. */
const A_WHILE = 100;

let server: Server;
let behind: Socket[];
let opened: Socket[];
let proxy: FaultProxy;

beforeEach(async () => {
  behind = [];
  opened = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    behind.push(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await startFaultProxy((server.address() as AddressInfo).port);
});

afterEach(async () => {
  for (const socket of opened) socket.destroy();
  await proxy.close();
  for (const socket of behind) socket.destroy();
  server.close();
});

/** A client with what it received, and the server's side of its connection. */
async function dial() {
  const port = Number(proxy.address.split(':')[1]);
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  opened.push(client);
  await once(client, 'connect');
  await until(() => behind.length === opened.length);
  const far = behind.at(-1);
  if (far === undefined) throw new Error('nobody is behind the proxy');
  return { client, far, atClient: collect(client), atFar: collect(far) };
}

function collect(socket: Socket): () => string {
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  return () => text;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(5);
}

/** Resolves when a connection is gone, however it went. */
function gone(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Whether a connection is refused. */
async function isRefused(): Promise<boolean> {
  const probe = connect({ port: Number(proxy.address.split(':')[1]), host: '127.0.0.1' });
  const refused = await Promise.race([
    once(probe, 'connect').then(() => false),
    once(probe, 'error').then(() => true),
  ]).catch(() => true);
  probe.destroy();
  return refused;
}

describe('unbroken', () => {
  it('carries bytes both ways, and one side’s end while the other goes on', async () => {
    const { client, far, atClient, atFar } = await dial();
    client.end('question');
    await once(far, 'end');
    expect(atFar()).toBe('question');
    far.end('answer');
    await once(client, 'close');
    expect(atClient()).toBe('answer');
  });

  it('lets a sender wait for a reader, and loses nothing of it', async () => {
    const { client, far } = await dial();
    far.pause();
    const size = 64 * 1024 * 1024;
    client.end(Buffer.alloc(size, 'x'));
    await pause(A_WHILE * 3);
    expect(client.bytesWritten - client.writableLength).toBeLessThan(size);
    expect(client.writableLength).toBeGreaterThan(0);
    let seen = 0;
    far.on('data', (bytes: Buffer) => (seen += bytes.length));
    await once(far.resume(), 'end');
    expect(seen).toBe(size);
  });

  it('passes a reset on', async () => {
    const { client, far } = await dial();
    const lost = once(far, 'error') as Promise<[NodeJS.ErrnoException]>;
    client.resetAndDestroy();
    expect((await lost)[0].code).toBe('ECONNRESET');
  });

  it('resets whoever dials a server that is not there', async () => {
    server.close();
    const client = connect({ port: Number(proxy.address.split(':')[1]), host: '127.0.0.1' });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });
});

describe('timeout', () => {
  it.each(['up', 'down'] as const)(
    '%s: holds that direction alone, and delivers once it is mended',
    async (direction) => {
      const { client, far, atClient, atFar } = await dial();
      const mend = await proxy.break({ kind: 'timeout' }, direction);
      client.write('up');
      far.write('down');
      await pause(A_WHILE);
      expect([atFar(), atClient()]).toEqual(direction === 'up' ? ['', 'down'] : ['up', '']);
      await mend();
      await until(() => atFar() === 'up' && atClient() === 'down');
    },
  );

  it('both: tells nobody that the other side has gone', async () => {
    const { client, far } = await dial();
    const mend = await proxy.break({ kind: 'timeout' });
    let told = false;
    far.once('close', () => (told = true));
    client.resetAndDestroy();
    await pause(A_WHILE);
    expect(told).toBe(false);
    await mend();
    await until(() => told);
  });

  it('holds new connections too', async () => {
    const mend = await proxy.break({ kind: 'timeout' });
    const { client, atFar } = await dial();
    client.write('x');
    await pause(A_WHILE);
    expect(atFar()).toBe('');
    await mend();
    await until(() => atFar() === 'x');
  });
});

describe('loss', () => {
  it('reset_peer resets what is open and what is new, until it is mended', async () => {
    const { client, far } = await dial();
    const lost = Promise.all([once(client, 'error'), once(far, 'error')]) as Promise<[NodeJS.ErrnoException][]>;
    const mend = await proxy.break({ kind: 'reset_peer' });
    expect((await lost).map(([{ code }]) => code)).toEqual(['ECONNRESET', 'ECONNRESET']);
    const late = connect({ port: Number(proxy.address.split(':')[1]), host: '127.0.0.1' });
    await gone(late.on('error', () => undefined));
    expect(behind).toHaveLength(1);
    opened.length = 1;
    await mend();
    const again = await dial();
    again.client.write('x');
    await until(() => again.atFar() === 'x');
  });

  it('down refuses, and listens on the same port again', async () => {
    const { client } = await dial();
    const lost = gone(client);
    const mend = await proxy.break({ kind: 'down' });
    await lost;
    expect(await isRefused()).toBe(true);
    await mend();
    const again = await dial();
    again.client.write('x');
    await until(() => again.atFar() === 'x');
  });
});

describe('wear', () => {
  it('slicer passes small pieces in their order', async () => {
    const { client, far } = await dial();
    const mend = await proxy.break({ kind: 'slicer', bytes: 4, delayMs: 5 }, 'up');
    const pieces: string[] = [];
    far.on('data', (bytes: Buffer) => pieces.push(bytes.toString()));
    const text = '0123456789'.repeat(8);
    client.write(text);
    await until(() => pieces.join('').length === text.length);
    expect(pieces.join('')).toBe(text);
    expect(pieces.length).toBeGreaterThan(5);
    await mend();
  });

  it('bandwidth lets through little at a time, and all of it in the end', async () => {
    const { client, far, atFar } = await dial();
    const text = 'x'.repeat(40_000);
    const mend = await proxy.break({ kind: 'bandwidth', bytesPerSecond: 50_000 }, 'up');
    client.write(text);
    await once(far, 'data');
    expect(atFar().length).toBeLessThan(text.length / 2);
    await mend();
    await until(() => atFar() === text);
  });

  it('latency holds each byte back, and keeps the order', async () => {
    const { client, atFar } = await dial();
    const mend = await proxy.break({ kind: 'latency', ms: 60_000, jitterMs: 5 }, 'up');
    for (const part of ['a', 'b', 'c']) client.write(part);
    await pause(A_WHILE);
    expect(atFar()).toBe('');
    await mend();
    await until(() => atFar() === 'abc');
    const short = await proxy.break({ kind: 'latency', ms: 20, jitterMs: 20 }, 'up');
    for (const part of ['d', 'e', 'f']) client.write(part);
    await until(() => atFar() === 'abcdef');
    await short();
  });
});

it('is broken in one way at a time for each direction', async () => {
  const mend = await proxy.break({ kind: 'timeout' }, 'up');
  await expect(proxy.break({ kind: 'latency', ms: 1 })).rejects.toThrow('broken already');
  const other = await proxy.break({ kind: 'timeout' }, 'down');
  await mend();
  await mend();
  await other();
  await (
    await proxy.break({ kind: 'latency', ms: 1 })
  )();
});

it('says how much it struck, and that nobody went that way', async () => {
  const idle = await proxy.break({ kind: 'timeout' });
  expect(await idle()).toBe(0);
  const { client, atFar } = await dial();
  for (const toxic of [
    { kind: 'timeout' },
    { kind: 'latency', ms: 60_000 },
    { kind: 'slicer', bytes: 1, delayMs: 1 },
    { kind: 'bandwidth', bytesPerSecond: 1_000 },
    { kind: 'reset_peer' },
  ] as const) {
    const said = atFar().length;
    const mend = await proxy.break(toxic, 'up');
    if (toxic.kind !== 'reset_peer') client.write('xx');
    await pause(A_WHILE);
    expect(await mend(), toxic.kind).toBeGreaterThan(0);
    if (toxic.kind !== 'reset_peer') await until(() => atFar().length === said + 2);
  }
});
