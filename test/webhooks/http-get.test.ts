import type { RequestListener } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, it } from 'vitest';
import { createGuardedGetter, type GetOutcome, type GuardedGetterOptions } from '../../src/webhooks/http-get.ts';
import { receive, receiveTls, type Loopback } from '../support/loopback.ts';
import { testTlsPair } from '../support/tls-pair.ts';

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(cleanUp.splice(0).map((close) => close()));
});

function getter(options: Partial<GuardedGetterOptions> = {}) {
  const rules = { allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] } as const;
  const made = createGuardedGetter({ ...rules, maxBytes: 1_000_000, ...options });
  cleanUp.push(made.close);
  return made;
}

async function started(server: Promise<Loopback>): Promise<Loopback> {
  const running = await server;
  cleanUp.push(running.close);
  return running;
}

async function outcomeOf(listener: RequestListener, options: Partial<GuardedGetterOptions> = {}): Promise<GetOutcome> {
  const server = await started(receive(listener));
  return getter(options).get(`${server.url}?signature=s3cret`);
}

it('downloads a file as it is, its query and all', async () => {
  const bytes = Buffer.from([0xff, 0xd8, 0xff, 0x00, 0x0a]);
  let asked: unknown;
  const outcome = await outcomeOf((request, response) => {
    asked = [request.method, request.url, request.headers['accept-encoding']];
    response.end(bytes);
  });
  expect(outcome).toEqual({ kind: 'file', bytes });
  expect(asked).toEqual(['GET', '/hook?signature=s3cret', 'identity']);
});

it('downloads over TLS from a server that proves its name', async () => {
  const server = await started(receiveTls((_request, response) => response.end('file')));
  const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
  const trusting = getter({ allowHttp: false, lookup, extraCa: testTlsPair.cert });
  expect(await trusting.get(`https://receiver.test:${server.port}/`)).toMatchObject({ kind: 'file' });
  expect(await trusting.get(`https://other.test:${server.port}/`)).toEqual({ kind: 'failure', code: 'tls' });
});

it('takes a long signed link, and none that is endless', async () => {
  const server = await started(receive((_request, response) => response.end('file')));
  expect((await getter().get(`${server.url}?s=${'x'.repeat(6_000)}`)).kind).toBe('file');
  expect(await getter().get(`${server.url}?s=${'x'.repeat(9_000)}`)).toEqual({
    kind: 'failure',
    code: 'egress_blocked',
  });
});

it('follows no redirect, wherever it leads', async () => {
  const inside = await started(receive((_request, response) => response.end('secret')));
  const outcome = await outcomeOf((_request, response) => {
    response.writeHead(302, { location: inside.url }).end();
  });
  expect(outcome).toEqual({ kind: 'refused', status: 302 });
  expect(inside.connections()).toBe(0);
});

it.each([204, 206, 403, 404, 503])('tells an answer of %i, without its body', async (status) => {
  const outcome = await outcomeOf((_request, response) => void response.writeHead(status).end());
  expect(outcome).toEqual({ kind: 'refused', status });
});

it('reads no body of an error, however long', async () => {
  let closed = () => {};
  const cut = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const outcome = await outcomeOf((_request, response) => {
    response.writeHead(404);
    const pump = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', pump).on('close', closed);
    pump();
  });
  expect(outcome).toEqual({ kind: 'refused', status: 404 });
  await cut;
});

it.each<[string, RequestListener]>([
  [
    'says so',
    (_request, response) => void response.writeHead(200, { 'content-length': '5000' }).end('x'.repeat(5_000)),
  ],
  [
    'never ends',
    (_request, response) => {
      const pump = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', pump);
      pump();
    },
  ],
])('stops at the largest size when a file %s', async (_how, listener) => {
  expect(await outcomeOf(listener, { maxBytes: 4_096 })).toEqual({ kind: 'failure', code: 'response_too_large' });
});

it('unpacks nothing', async () => {
  const bomb = gzipSync(Buffer.alloc(10_000_000));
  const outcome = await outcomeOf((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  });
  expect(outcome).toEqual({ kind: 'encoded' });
});

it.each<[string, RequestListener]>([
  ['says nothing', () => {}],
  [
    'drips',
    (_request, response) => {
      const drip = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(drip));
    },
  ],
])('gives a server up that %s', async (_how, listener) => {
  expect(await outcomeOf(listener, { totalTimeoutMs: 250 })).toEqual({ kind: 'failure', code: 'timeout' });
});

it('tells a connection that is cut from a whole file', async () => {
  const outcome = await outcomeOf((_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half');
    setTimeout(() => response.destroy(), 20);
  });
  expect(outcome).toEqual({ kind: 'failure', code: 'reset' });
});

it('dials no address that the guard forbids, by name or by number, and no plain http', async () => {
  const server = await started(receive((_request, response) => response.end()));
  const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
  const strict = getter({ allowedCidrs: [], lookup });
  const blocked = { kind: 'failure', code: 'egress_blocked' };
  expect(await strict.get(`http://media.test:${server.port}/`)).toEqual(blocked);
  expect(await strict.get(server.url)).toEqual(blocked);
  expect(await getter({ allowHttp: false }).get(server.url)).toEqual(blocked);
  expect(server.connections()).toBe(0);
});

it('gives up when it is told to', async () => {
  const giveUp = new AbortController();
  const server = await started(receive(() => giveUp.abort(new Error('shutting down'))));
  await expect(getter().get(server.url, giveUp.signal)).rejects.toThrow('shutting down');
  await expect(getter().get(server.url, giveUp.signal)).rejects.toThrow('shutting down');
});
