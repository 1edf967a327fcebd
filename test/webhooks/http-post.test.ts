import type { RequestListener } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

import { afterEach, describe, expect, test } from 'vitest';

import {
  createWebhookPoster,
  type PostOutcome,
  type PostReply,
  type WebhookPoster,
  type WebhookPosterOptions,
} from '../../src/webhooks/http-post.ts';
import { listen, receive, receiveTls, type Loopback } from '../support/loopback.ts';
import { testTlsPair } from '../support/tls-pair.ts';

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(cleanUp.splice(0).map((close) => close()));
});

function poster(options: Partial<WebhookPosterOptions> = {}): WebhookPoster {
  const made = createWebhookPoster({ allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'], ...options });
  cleanUp.push(made.close);
  return made;
}

async function started(server: Promise<Loopback>): Promise<Loopback> {
  const running = await server;
  cleanUp.push(running.close);
  return running;
}

/** A receiver that writes bytes as they are. */
const raw = (onConnection: (socket: Socket) => void) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('data', () => onConnection(socket));
  });
  cleanUp.push(async () => sockets.forEach((socket) => socket.destroy()));
  return started(listen(server));
};

/** Writes a piece again and again, as fast as the other side takes it. */
function flood(socket: Socket, piece: string): void {
  const chunk = piece.repeat(4_096);
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

const send = (to: WebhookPoster, url: string, destinationId = 'one'): Promise<PostOutcome> =>
  to.post({ destinationId, url, headers: { 'x-signature': 's3cret-header' }, body: '{"s3cret":"body"}' });

async function replyOf(listener: RequestListener, options: Partial<WebhookPosterOptions> = {}): Promise<PostReply> {
  const server = await started(receive(listener));
  const outcome = await send(poster(options), server.url);
  if (outcome.kind !== 'reply') throw new Error(`no reply: ${outcome.code} ${outcome.message}`);
  return outcome;
}

describe('a reply', () => {
  test('carries status, headers that matter, body and the address it came from', async () => {
    const seen: unknown[] = [];
    const reply = await replyOf((request, response) => {
      request.setEncoding('utf8').on('data', (body: string) => seen.push(request.method, request.headers, body));
      request.on('end', () => {
        response.writeHead(429, { 'retry-after': '120', 'webhook-delivery': 'abort-message' }).end('slow ë');
      });
    });
    expect(reply).toEqual({
      kind: 'reply',
      status: 429,
      retryAfter: '120',
      webhookDelivery: 'abort-message',
      locationHost: null,
      bodyHead: 'slow ë',
      bodyTruncated: false,
      connectedIp: '127.0.0.1',
      durationMs: expect.any(Number),
    });
    expect(seen).toEqual([
      'POST',
      expect.objectContaining({
        'accept-encoding': 'identity',
        'x-signature': 's3cret-header',
        'content-length': '17',
      }),
      '{"s3cret":"body"}',
    ]);
  });

  test('that redirects is not followed, and only its host is kept', async () => {
    const elsewhere = await started(receive((_request, response) => response.end()));
    const reply = await replyOf((_request, response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${elsewhere.port}/?token=s3cret` }).end();
    });
    expect(reply).toMatchObject({ status: 302, locationHost: `127.0.0.1:${elsewhere.port}` });
    expect(elsewhere.connections()).toBe(0);
  });

  test('with a location that makes no sense has no host', async () => {
    const reply = await replyOf((_request, response) => response.writeHead(301, { location: 'http://[' }).end());
    expect(reply.locationHost).toBeNull();
  });

  const token = 'eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ4In0.c2lnbmF0dXJl';
  test.each([
    ['of no web scheme', `x://${token}/`, null],
    ['of a script', `javascript:${token}`, null],
    ['with a host that is none', `https://${'a.'.repeat(130)}example/`, null],
    ['with a user', `https://u:${token}@Elsewhere.example:8443/a?${token}#b`, 'elsewhere.example:8443'],
    ['without a scheme', '//Elsewhere.example/', 'elsewhere.example'],
  ])('with a location %s has the host of a web address only', async (_what, location, locationHost) => {
    const reply = await replyOf((_request, response) => response.writeHead(302, { location }).end());
    expect(reply.locationHost).toBe(locationHost);
  });

  test('is not inflated', async () => {
    const packed = gzipSync('a'.repeat(1_000_000));
    const reply = await replyOf((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed);
    });
    expect(reply).toMatchObject({ status: 200, bodyTruncated: false });
    expect(reply.bodyHead).not.toContain('aaaa');
  });

  test('keeps the first 4 KiB of a long body, cuts no character in two, and holds no NUL', async () => {
    const long = await replyOf((_request, response) => response.end('é'.repeat(10_000)), { keptReplyBytes: 4_097 });
    expect(long).toMatchObject({ bodyHead: 'é'.repeat(2_048), bodyTruncated: true });
    const exact = await replyOf((_request, response) => response.end('x'.repeat(4_096)));
    expect(exact).toMatchObject({ bodyHead: 'x'.repeat(4_096), bodyTruncated: false });
    expect((await replyOf((_request, response) => response.end('a\0b'))).bodyHead).toBe('a\uFFFDb');
  });

  test.each([200, 500])('%s stays one when its body drips beyond the time limit', async (status) => {
    const reply = await replyOf(
      (_request, response) => {
        response.writeHead(status);
        const drip = setInterval(() => response.write('.'), 20);
        response.on('close', () => clearInterval(drip));
      },
      { attemptTimeoutMs: 250 },
    );
    expect(reply).toMatchObject({ status, bodyTruncated: true, connectedIp: '127.0.0.1' });
    expect(reply.bodyHead).toMatch(/^\.+$/);
  });

  test('stays one when its body never ends, and little of it is read', async () => {
    let written = 0;
    const reply = await replyOf((_request, response) => {
      const chunk = 'x'.repeat(16_384);
      const pump = () => {
        while (!response.destroyed && response.write(chunk)) written += chunk.length;
        written += chunk.length;
      };
      response.writeHead(200).on('drain', pump);
      pump();
    });
    expect(reply).toMatchObject({ status: 200, bodyHead: 'x'.repeat(4_096), bodyTruncated: true });
    expect(written).toBeLessThan(32 * 1024 * 1024);
  });

  test('stays one when it goes on with what is no body: the decoration of a chunk, trailers', async () => {
    for (const beginning of ['1;', '0\r\nx-trailer: ']) {
      const server = await raw((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${beginning}`);
        flood(socket, 'x');
      });
      expect(await send(poster({ attemptTimeoutMs: 60_000 }), server.url)).toMatchObject({
        status: 200,
        bodyTruncated: true,
      });
    }
  });

  test('stays one when its body is cut off', async () => {
    const server = await raw((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npartial');
    });
    expect(await send(poster(), server.url)).toMatchObject({
      kind: 'reply',
      status: 200,
      bodyHead: 'partial',
      bodyTruncated: true,
    });
  });
});

describe('a failure', () => {
  test('reset: the receiver closes without a reply', async () => {
    const server = await raw((socket) => socket.resetAndDestroy());
    expect(await send(poster(), server.url)).toMatchObject({
      kind: 'failure',
      code: 'reset',
      connectedIp: '127.0.0.1',
    });
  });

  test('timeout: no headers within the limit for headers', async () => {
    const server = await started(receive(() => {}));
    const outcome = await send(poster({ headersTimeoutMs: 100 }), server.url);
    expect(outcome).toMatchObject({ code: 'timeout', message: expect.stringContaining('UND_ERR_HEADERS_TIMEOUT') });
  });

  test('timeout: no headers within the limit for the whole attempt', async () => {
    const server = await started(receive(() => {}));
    const outcome = await send(poster({ attemptTimeoutMs: 100 }), server.url);
    expect(outcome).toMatchObject({ code: 'timeout', message: expect.stringContaining('ATTEMPT_TIMEOUT') });
  });

  test('timeout: headers that drip', async () => {
    const server = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const drip = setInterval(() => socket.write('x-drip: 1\r\n'), 20);
      socket.on('close', () => clearInterval(drip));
    });
    expect(await send(poster({ attemptTimeoutMs: 250 }), server.url)).toMatchObject({ code: 'timeout' });
  });

  test('timeout: still waiting for a connection, and then never sent', async () => {
    const urls: string[] = [];
    const server = await started(receive((request) => urls.push(request.url ?? '')));
    const sender = poster({ attemptTimeoutMs: 200, connectionsPerDestination: 1 });
    const outcomes = await Promise.all(['a', 'b'].map((path) => send(sender, `${server.url}/${path}`)));
    expect(outcomes).toMatchObject([{ code: 'timeout' }, { code: 'timeout', connectedIp: null }]);
    await sender.close();
    expect(urls).toEqual(['/hook/a']);
  });

  test('timeout: a resolver that never answers', async () => {
    const outcome = await send(
      poster({ connectTimeoutMs: 100, lookup: () => new Promise(() => {}) }),
      'http://receiver.test/',
    );
    expect(outcome).toMatchObject({ code: 'timeout', connectedIp: null });
  });

  test('connect: nobody listens', async () => {
    const server = await started(receive(() => {}));
    await server.close();
    expect(await send(poster(), server.url)).toMatchObject({ code: 'connect', connectedIp: null });
  });

  test('dns: the name is unknown', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }));
    expect(await send(poster({ lookup }), 'http://s3cret-host.test/')).toMatchObject({ code: 'dns' });
  });

  test('response_too_large: headers without end', async () => {
    const server = await raw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(100_000)}\r\n\r\n`);
    });
    expect(await send(poster(), server.url)).toMatchObject({ code: 'response_too_large' });
  });

  test('response_too_large: announcements without end, and no reply', async () => {
    const server = await raw((socket) => flood(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n'));
    expect(await send(poster({ attemptTimeoutMs: 60_000 }), server.url)).toMatchObject({ code: 'response_too_large' });
  });

  test('failed: the receiver does not speak HTTP', async () => {
    const server = await raw((socket) => socket.end('SSH-2.0-OpenSSH_9.0\r\n'));
    expect(await send(poster(), server.url)).toMatchObject({ code: 'failed', message: 'The reply is not valid HTTP.' });
  });

  test('egress_blocked: a name that leads inside, and a URL that the rules forbid', async () => {
    const server = await started(receive((_request, response) => response.end()));
    const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
    const strict = poster({ allowedCidrs: [], lookup });
    expect(await send(strict, `http://receiver.test:${server.port}/`)).toMatchObject({ code: 'egress_blocked' });
    expect(await send(strict, server.url)).toMatchObject({ code: 'egress_blocked' });
    expect(await send(poster({ allowHttp: false }), server.url)).toMatchObject({ code: 'egress_blocked' });
    expect(server.connections()).toBe(0);
  });

  test('never tells URL, header or body', async () => {
    const closed = await started(receive(() => {}));
    await closed.close();
    const sender = poster();
    for (const url of [`${closed.url}/s3cret`, 'http://s3cret:s3cret@127.0.0.1/', 'http://s3cret.invalid:1/s3cret']) {
      const outcome = await send(sender, url);
      expect(outcome.kind).toBe('failure');
      expect(JSON.stringify(outcome)).not.toMatch(/s3cret|127\.0\.0\.1/);
    }
  });
});

describe('TLS', () => {
  const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
  const ok: RequestListener = (_request, response) => response.end('ok');

  test('a self-signed certificate is refused', async () => {
    const server = await started(receiveTls(ok));
    expect(await send(poster({ lookup }), `https://receiver.test:${server.port}/`)).toMatchObject({
      kind: 'failure',
      code: 'tls',
      message: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT'),
    });
  });

  test('a trusted certificate is accepted for its own name and for no other', async () => {
    const server = await started(receiveTls(ok));
    const trusting = poster({ lookup, extraCa: testTlsPair.cert });
    expect(await send(trusting, `https://receiver.test:${server.port}/`)).toMatchObject({ kind: 'reply', status: 200 });
    expect(await send(trusting, `https://other.test:${server.port}/`)).toMatchObject({
      code: 'tls',
      message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID'),
    });
    expect(await send(trusting, `https://127.0.0.1:${server.port}/`)).toMatchObject({ code: 'tls' });
  });

  test('no environment variable turns the check off', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      const server = await started(receiveTls(ok));
      expect(await send(poster({ lookup }), `https://receiver.test:${server.port}/`)).toMatchObject({ code: 'tls' });
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    }
  });

  test('a plain-text receiver behind https is a TLS failure', async () => {
    const server = await started(receive(ok));
    expect(await send(poster({ lookup }), `https://receiver.test:${server.port}/`)).toMatchObject({ code: 'tls' });
  });
});

describe('connections', () => {
  test('are reused, and each reply still knows its address', async () => {
    const server = await started(receive((_request, response) => response.end()));
    const sender = poster();
    for (let round = 0; round < 20; round += 1) {
      expect(await send(sender, server.url)).toMatchObject({ status: 200, connectedIp: '127.0.0.1' });
    }
    // undici opens a second one when a request follows in the very turn that ends the former reply.
    expect(server.connections()).toBeLessThanOrEqual(2);
  });

  test('carry many replies that are large together', async () => {
    const server = await started(receive((_request, response) => response.end('x'.repeat(4_000))));
    const sender = poster({ maxReplyBytes: 10_000 });
    for (let round = 0; round < 20; round += 1) {
      expect(await send(sender, server.url)).toMatchObject({ status: 200, bodyTruncated: false });
    }
    expect(server.connections()).toBeLessThanOrEqual(2);
  });

  test('are opened side by side for attempts made at the same time', async () => {
    const waiting: (() => void)[] = [];
    const server = await started(
      receive((_request, response) => {
        waiting.push(() => response.end());
        if (waiting.length === 4) waiting.forEach((finish) => finish());
      }),
    );
    const sender = poster();
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => send(sender, server.url)));
    expect(outcomes.map(({ kind }) => kind)).toEqual(['reply', 'reply', 'reply', 'reply']);
    expect(server.connections()).toBe(4);
  });

  test('of one destination make none wait at another of the same host', async () => {
    const waiting: (() => void)[] = [];
    let stuck = true;
    const server = await started(
      receive((request, response) => {
        if (stuck && request.url === '/hook/slow') waiting.push(() => response.end());
        else response.end();
      }),
    );
    const sender = poster({ connectionsPerDestination: 2 });
    const slow = Array.from({ length: 20 }, () => send(sender, `${server.url}/slow`, 'slow'));
    await expect.poll(() => waiting.length).toBe(2);
    expect(await send(sender, server.url, 'prompt')).toMatchObject({ kind: 'reply', status: 200 });
    stuck = false;
    waiting.forEach((finish) => finish());
    await Promise.all(slow);
    expect(server.connections()).toBe(3);
  });

  test('carry no answer of one destination to another of the same host', async () => {
    const forged = 'HTTP/1.1 204 Forged\r\n\r\n';
    const server = await started(
      listen(
        createServer((socket) => {
          let owned = false;
          socket
            .on('error', () => {})
            .on('data', (request) => {
              if (owned) socket.write(forged);
              owned ||= request.includes('/attacker');
              socket.write('HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n');
            });
        }),
      ),
    );
    const sender = poster({ connectionsPerDestination: 1 });
    for (let round = 0; round < 5; round += 1) {
      await send(sender, `${server.url}/attacker`, 'attacker');
      expect(await send(sender, server.url, 'honest')).toMatchObject({ status: 500 });
    }
  });

  test('that bring more than was asked are dropped before another request', async () => {
    const server = await started(
      listen(
        createServer((socket) => {
          socket
            .on('error', () => {})
            .on('data', () => {
              socket.write(`HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n${'HTTP/1.1 204 X\r\n\r\n'.repeat(3)}`);
            });
        }),
      ),
    );
    const sender = poster();
    for (let round = 0; round < 10; round += 1) expect(await send(sender, server.url)).toMatchObject({ status: 500 });
    expect(server.connections()).toBe(10);
  });

  test('are kept for so many destinations, and those that were used longest ago close', async () => {
    const server = await started(receive((_request, response) => response.end()));
    const sender = poster({ keptDestinations: 2 });
    const order = ['one', 'two', 'one', 'three', 'one'];
    for (const destination of order) await send(sender, server.url, destination);
    expect(server.connections()).toBe(3);
    await send(sender, server.url, 'two');
    expect(server.connections()).toBe(4);
  });

  test('that are closed early finish what they carry', async () => {
    const replies: (() => void)[] = [];
    const server = await started(receive((_request, response) => replies.push(() => response.end('late'))));
    const sender = poster({ keptDestinations: 1 });
    const first = send(sender, server.url, 'one');
    await expect.poll(() => replies.length).toBe(1);
    const second = send(sender, server.url, 'two');
    await expect.poll(() => replies.length).toBe(2);
    const closed = sender.close();
    replies.forEach((reply) => reply());
    expect(await Promise.all([first, second])).toMatchObject([{ bodyHead: 'late' }, { bodyHead: 'late' }]);
    await closed;
  });

  test('close waits for the attempt under way; a later one is rejected', async () => {
    const server = await started(receive((_request, response) => setTimeout(() => response.end('done'), 50)));
    const sender = poster();
    const underWay = send(sender, server.url);
    const closed = sender.close();
    expect(await underWay).toMatchObject({ status: 200, bodyHead: 'done' });
    await closed;
    await expect(send(sender, server.url)).rejects.toThrow('closed');
  });
});
