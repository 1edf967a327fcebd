import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { setImmediate, setTimeout } from 'node:timers/promises';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { limitBodyTime } from '../../src/http/body-time.ts';
import { answerErrors } from '../../src/http/error-answers.ts';
import { acceptUploads, readUpload } from '../../src/http/import-upload.ts';
import { acceptJsonBodies } from '../../src/http/json-body.ts';
import { testApi } from './api.ts';

const lines: string[] = [];
const sink = new Writable({
  write: (chunk: Buffer, _encoding, done) => {
    lines.push(chunk.toString());
    done();
  },
});
const app: FastifyInstance = fastify({ logger: { level: 'warn', stream: sink } });
let port: number;
/** Requests that ended in an error. */
let ended = 0;

beforeAll(async () => {
  acceptJsonBodies(app);
  limitBodyTime(app, 30_000);
  answerErrors(app);
  app.addHook('onError', async () => {
    ended += 1;
  });
  const short = { bodySeconds: 0.2 };
  app.route({ method: 'POST', url: '/json/', config: short, handler: () => ({ ok: true }) });
  // Looked at every 0.2 s.
  const paced = { bodySeconds: 6, bodyBytesPerSecond: 4_096 };
  app.route({ method: 'POST', url: '/paced/', config: paced, handler: () => ({ ok: true }) });
  app.route({ method: 'POST', url: '/patient/', handler: () => ({ ok: true }) });
  await app.register(async (scope) => {
    await acceptUploads(scope);
    scope.route({
      method: 'POST',
      url: '/file/',
      config: short,
      handler: async (request) => ({ bytes: (await readUpload(request)).file?.bytes }),
    });
  });
  port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port);
});
afterAll(() => app.close());
beforeEach(() => {
  lines.splice(0);
  ended = 0;
});

/** Sends the head of a request and the beginning of its body. */
async function begin(path: string, type: string, body: string, length = 1_000): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n${body}`);
  return socket;
}

async function answerOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

const FORM = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.ndjson"\r\n\r\n{"a":1}\n{';
const bodies = [
  ['/json/', 'application/json', '{"a":'],
  ['/file/', 'multipart/form-data; boundary=x', FORM],
  ['/file/', 'multipart/form-data; boundary=x', '--x\r\nContent-Disp'],
  ['/file/', 'application/x-ndjson', '{"a":1}\n{'],
  ['/file/', 'text/csv', 'a,b\n1,2\n3'],
] as const;

describe('a body', () => {
  it.each(bodies)('that stops in the middle is answered, and its connection closed: %s %s', async (...sent) => {
    const answer = await answerOf(await begin(...sent));
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toEqual({
      detail: expect.stringContaining('0.2 seconds'),
      code: 'request_timeout',
    });
    expect(lines).toEqual([]);
  });

  it.each(bodies)('whose sender hangs up is no fault of ours: %s %s', async (...sent) => {
    const socket = await begin(...sent);
    socket.destroy();
    await expect.poll(() => ended).toBe(1);
    await setImmediate();
    expect(lines).toEqual([]);
  });

  it('that drips is answered before its time is over, and one that keeps pace is not', async () => {
    const body = JSON.stringify({ text: 'x'.repeat(20_000) });
    const [dripping, steady] = await Promise.all([
      begin('/paced/', 'application/json', '{"a":'),
      begin('/paced/', 'application/json', '', body.length),
    ]);
    const answers = Promise.all([answerOf(dripping), answerOf(steady)]);
    for (let at = 0; at < body.length; at += 2_000) {
      dripping.write(' ');
      steady.write(body.slice(at, at + 2_000));
      await setTimeout(50);
    }
    steady.end();
    const [slow, fast] = await answers;
    expect(slow).toMatch(/^HTTP\/1\.1 408 /);
    expect(slow).toContain('4096 bytes a second');
    expect(fast).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('may take as long as its route gives it', async () => {
    const socket = await begin('/patient/', 'application/json', '{"a":', 7);
    await setTimeout(400);
    socket.end('1}');
    expect(await answerOf(socket)).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('a server', () => {
  const api = testApi();

  it('leaves the time of bodies to its routes, and of heads to nobody', () => {
    expect(api.app.server.requestTimeout).toBeGreaterThan(300_000);
    expect(api.app.server.headersTimeout).toBe(10_000);
  });
});
