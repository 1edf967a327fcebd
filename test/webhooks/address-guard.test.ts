import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import { connect, createServer } from 'node:net';
import { Worker } from 'node:worker_threads';

import { Agent, request } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';

import {
  checkWebhookUrl,
  normalWebhookUrl,
  createGuardedConnector,
  EgressBlocked,
  type ResolvedAddress,
  type WebhookUrlRules,
} from '../../src/webhooks/address-guard.ts';
import { LOOPBACK_SPELLINGS, PRIVATE_ADDRESSES } from '../support/address-spellings.ts';
import { listen, receive, type Loopback } from '../support/loopback.ts';
import { testTlsPair } from '../support/tls-pair.ts';

const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(cleanUp.splice(0).map((close) => close()));
});

async function target(host?: string, port?: number): Promise<Loopback> {
  const server = await receive((incoming, response) => response.end(incoming.headers.host), host, port);
  cleanUp.push(server.close);
  return server;
}

/** What one request over a guarded connection of its own ends in: the reply's body, or the error's code. */
async function reach(
  url: string,
  allowedCidrs: string[],
  lookup?: (hostname: string) => Promise<readonly ResolvedAddress[]>,
  extraCa?: string,
): Promise<string> {
  const agent = new Agent({
    connect: createGuardedConnector({
      allowedCidrs,
      connectTimeoutMs: 2_000,
      ...(lookup && { lookup }),
      ...(extraCa !== undefined && { extraCa }),
    }),
  });
  try {
    const { body } = await request(url, { dispatcher: agent });
    return await body.text();
  } catch (error) {
    if (error instanceof EgressBlocked) return error.code;
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    await agent.destroy();
  }
}

const answer =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

/** A port of 127.0.0.1 that takes connections no more, and refuses none. */
async function silentPort(): Promise<number> {
  const worker = new Worker(
    `const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
       require('node:worker_threads').parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const [port] = (await once(worker, 'message')) as [number];
  // Its queue of connections that nobody accepts holds two.
  const waiting = [connect(port), connect(port)];
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  cleanUp.push(async () => {
    for (const socket of waiting) socket.on('error', () => {}).destroy();
    await worker.terminate();
  });
  return port;
}

describe('createGuardedConnector', () => {
  test.each(LOOPBACK_SPELLINGS)('does not reach loopback as %s', async (host) => {
    const victim = await target();
    expect(await reach(`http://${host}:${victim.port}/`, [])).toBe('EGRESS_BLOCKED');
    expect(victim.connections()).toBe(0);
  });

  test('the same spellings do reach it when loopback is allowed', async () => {
    const victim = await target();
    for (const host of ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1', '127。0。0。1']) {
      expect(await reach(`http://${host}:${victim.port}/`, ['127.0.0.0/8'])).toBe(`127.0.0.1:${victim.port}`);
    }
    expect(victim.connections()).toBe(6);
  });

  test.each(PRIVATE_ADDRESSES)('does not dial a name that leads to %s', async (address) => {
    expect(await reach('http://receiver.test/', [], answer(address))).toBe('EGRESS_BLOCKED');
  });

  test('refuses a name of which only one address is not public, wherever it stands', async () => {
    const victim = await target();
    const url = `http://receiver.test:${victim.port}/`;
    expect(await reach(url, ['127.0.0.2/32'], answer('127.0.0.2', '127.0.0.1'))).toBe('EGRESS_BLOCKED');
    expect(await reach(url, ['127.0.0.2/32'], answer('127.0.0.1', '127.0.0.2'))).toBe('EGRESS_BLOCKED');
    expect(victim.connections()).toBe(0);
  });

  test('a resolver that changes its answer never gets past: 50 dials', async () => {
    const victim = await target('127.0.0.1');
    const allowed = await target('127.0.0.2', victim.port);
    let calls = 0;
    const rebinding = () => answer(calls++ % 2 === 0 ? '127.0.0.2' : '127.0.0.1')();
    const outcomes: string[] = [];
    for (let dial = 0; dial < 50; dial += 1) {
      outcomes.push(await reach(`http://receiver.test:${victim.port}/`, ['127.0.0.2/32'], rebinding));
    }
    expect(calls).toBe(50);
    expect(victim.connections()).toBe(0);
    expect(allowed.connections()).toBe(25);
    expect(outcomes.filter((outcome) => outcome === 'EGRESS_BLOCKED')).toHaveLength(25);
  });

  test('dials the address and still asks for the name', async () => {
    const server = await target();
    const url = `http://receiver.test:${server.port}/`;
    expect(await reach(url, ['127.0.0.0/8'], answer('127.0.0.1'))).toBe(`receiver.test:${server.port}`);
  });

  test('goes on to the next address of a name when one does not answer', async () => {
    const server = await target('127.0.0.1');
    const url = `http://receiver.test:${server.port}/`;
    expect(await reach(url, ['127.0.0.0/8'], answer('127.0.0.3', '127.0.0.1'))).toBe(`receiver.test:${server.port}`);
  });

  test('goes on to the next address of a name while one keeps silent', async () => {
    const port = await silentPort();
    const server = await target('127.0.0.2', port);
    const url = `http://receiver.test:${port}/`;
    expect(await reach(url, ['127.0.0.0/8'], answer('127.0.0.1', '127.0.0.2'))).toBe(`receiver.test:${port}`);
    expect(server.connections()).toBe(1);
  });

  test('a name without address is not found', async () => {
    expect(await reach('http://receiver.test/', [], answer())).toBe('ENOTFOUND');
  });

  test.each(['8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8'])('lets a name lead to %s', async (address) => {
    // Node refuses to dial an address of no family, so that the test leaves this machine alone.
    const outcome = await reach('http://receiver.test/', [], () => Promise.resolve([{ address, family: 0 }]));
    expect(outcome).toBe('ERR_INVALID_ADDRESS_FAMILY');
  });

  test('judges the peer again, and hangs up before it was asked anything', async () => {
    let asked = '';
    const hungUp = Promise.withResolvers<void>();
    const victim = await listen(
      createServer((socket) => socket.on('data', (bytes) => (asked += bytes.toString())).on('close', hungUp.resolve)),
    );
    cleanUp.push(victim.close);
    let reads = 0;
    const turncoat = {
      family: 4,
      get address() {
        reads += 1;
        return reads === 1 ? '127.0.0.2' : '127.0.0.1';
      },
    };
    const connector = createGuardedConnector({
      allowedCidrs: ['127.0.0.2/32'],
      connectTimeoutMs: 2_000,
      lookup: () => Promise.resolve([turncoat]),
    });
    const port = String(victim.port);
    const error = await new Promise((resolve) => {
      connector({ hostname: 'receiver.test', host: `receiver.test:${port}`, protocol: 'http:', port }, (...[refusal]) =>
        resolve(refusal),
      );
    });
    expect(error).toBeInstanceOf(EgressBlocked);
    expect(error).toHaveProperty('address', '127.0.0.1');
    await hungUp.promise;
    expect(asked).toBe('');
  });

  test('says nothing about the address in the message, and keeps it for the security log', () => {
    const error = new EgressBlocked('10.1.2.3');
    expect(String(error)).toBe(
      'EgressBlocked: The host is not at a public address: use one that the internet can reach.',
    );
    expect(error.address).toBe('10.1.2.3');
  });

  test('trusts a receiver by the roots and the certificate given, and speaks HTTP/1.1 whatever it offers', async () => {
    const server = await listen(
      createSecureServer({ ...testTlsPair, allowHTTP1: true }, ({ httpVersion }, response) =>
        response.end(httpVersion),
      ),
    );
    cleanUp.push(server.close);
    const url = `https://receiver.test:${server.port}/`;
    const lookup = answer('127.0.0.1');
    expect(await reach(url, ['127.0.0.0/8'], lookup, testTlsPair.cert)).toBe('1.1');
    expect(await reach(url, ['127.0.0.0/8'], lookup)).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    const other = `https://other.test:${server.port}/`;
    expect(await reach(other, ['127.0.0.0/8'], lookup, testTlsPair.cert)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('refuses an allowance that is no network, by name', () => {
    expect(() => createGuardedConnector({ allowedCidrs: ['localhost'], connectTimeoutMs: 1 })).toThrow(
      /^allowedCidrs: localhost is no network/,
    );
  });
});

describe('checkWebhookUrl', () => {
  const production: WebhookUrlRules = { allowHttp: false, allowedPorts: [8443], allowedCidrs: [] };
  const development: WebhookUrlRules = {
    allowHttp: true,
    allowedPorts: 'any',
    allowedCidrs: ['127.0.0.0/8', '::1/128'],
  };

  test.each([
    'https://partner.example/hooks',
    'https://partner.example',
    'https://partner.example:443/a?b=c%20d',
    'https://partner.example:8443/',
    'https://bücher.example/',
  ])('takes %s', (url) => {
    expect(checkWebhookUrl(url, production)).toBeNull();
  });

  test.each([
    ['http://partner.example/', /https:/],
    ['ftp://partner.example/', /https:/],
    ['javascript:alert(1)', /https:/],
    ['partner.example/hooks', /full address/],
    ['https://', /full address/],
    ['', /full address/],
    ['https://u:p@partner.example/', /user name/],
    ['https://u@partner.example/', /user name/],
    ['https://:p@partner.example/', /user name/],
    ['https://partner.example/#top', /fragment/],
    ['https://partner.example/#', /fragment/],
    ['https://partner.example:22/', /Port 22/],
    ['https://partner.example:80/', /Port 80/],
    ['https://partner.example/a b', /white space/],
    ['https://partner.\texample/', /white space/],
    ['https:\\\\partner.example/', /backslash/],
    ['https://203.0.113.5/', /IP address/],
    ['https://8.8.8.8/', /IP address/],
    ['https://2130706433/', /IP address/],
    ['https://0x7f.1/', /IP address/],
    ['https://[::1]/', /IP address/],
    ['https://[2606:4700::1111]/', /IP address/],
    [`https://partner.example/${'a'.repeat(2_100)}`, /longer than/],
  ])('refuses %s', (url, problem) => {
    expect(checkWebhookUrl(url, production)).toMatch(problem);
  });

  test('takes a URL of exactly the most bytes', () => {
    const url = `https://partner.example/${'a'.repeat(2_048 - 'https://partner.example/'.length)}`;
    expect(checkWebhookUrl(url, production)).toBeNull();
    expect(checkWebhookUrl(`${url}a`, production)).toMatch(/longer than 2048 bytes/);
  });

  test('never repeats the URL', () => {
    for (const url of [
      'https://u:s3cret@partner.example/',
      'https://partner.example/#s3cret',
      's3cret',
      'ftp://s3cret/',
    ]) {
      expect(checkWebhookUrl(url, production)).not.toContain('s3cret');
    }
  });

  test('in development takes http, any port and the listed networks, no others', () => {
    expect(checkWebhookUrl('http://127.0.0.1:4001/hook', development)).toBeNull();
    expect(checkWebhookUrl('http://[::1]:4001/hook', development)).toBeNull();
    expect(checkWebhookUrl('http://10.0.0.1:4001/hook', development)).toMatch(/IP address/);
    expect(checkWebhookUrl('ftp://127.0.0.1:4001/hook', development)).toMatch(/https:/);
  });

  test('judges plain http by its own port', () => {
    const listed = { ...development, allowedPorts: [8080] };
    expect(checkWebhookUrl('http://partner.example/', listed)).toMatch(/Port 80 /);
    expect(checkWebhookUrl('http://partner.example/', { ...development, allowedPorts: [80] })).toBeNull();
    expect(checkWebhookUrl('http://partner.example:8080/', listed)).toBeNull();
  });
});

describe('normalWebhookUrl', () => {
  const production: WebhookUrlRules = { allowHttp: false, allowedPorts: [8443], allowedCidrs: [] };
  const problemOf = (url: string) => {
    const normal = normalWebhookUrl(url, production);
    return 'problem' in normal ? normal.problem : null;
  };

  test.each([
    'https://dup.example/x',
    'https://DUP.example/x',
    'HTTPS://dup.example/x',
    'https://dup.example:443/x',
    'https://dup.example./x',
    'https://dup.example.:443/x',
    'https://dup.example/./x',
    'https://dup.example/y/../x',
    'https://\uff44up.example/x',
    'https://dup\u3002example/x',
    'https://d\u00adup.example/x',
  ])('writes %s in one way', (url) => {
    expect(normalWebhookUrl(url, production)).toEqual({ url: 'https://dup.example/x' });
  });

  test.each([
    ['https://a.example', 'https://a.example/'],
    ['https://a.example?b=c', 'https://a.example/?b=c'],
    ['https://a.example:8443/é?@', 'https://a.example:8443/%C3%A9?@'],
    ['https://a.example/@b//c', 'https://a.example/@b//c'],
    ['https://bücher.example/', 'https://xn--bcher-kva.example/'],
  ])('keeps what %s means', (url, normal) => {
    expect(normalWebhookUrl(url, production)).toEqual({ url: normal });
    expect(normalWebhookUrl(normal, production)).toEqual({ url: normal });
  });

  test.each([
    'https:a.example',
    'https:/a.example',
    'https:///a.example',
    'https:/a.example/https://b.example/',
    'https://@a.example/',
    'https://:@a.example/',
    'https://./',
    'https://../',
    'https://a.example../',
    'https://a..example/',
    'https://.a.example/',
  ])('refuses %s', (url) => {
    expect(problemOf(url)).toMatch(/write it as https:\/\/host\/path/);
  });

  test.each([
    ['https://127.0.0.1./', /IP address/],
    ['http://a.example/', /https:/],
    ['https://a.\texample/', /white space/],
    ['a.example', /full address/],
    [`https://a.example/${'é'.repeat(500)}`, /longer than/],
  ])('refuses what a destination cannot be: %s', (url, problem) => {
    expect(problemOf(url)).toMatch(problem);
  });

  test('writes plain http too where it is allowed', () => {
    const rules: WebhookUrlRules = { allowHttp: true, allowedPorts: 'any', allowedCidrs: [] };
    expect(normalWebhookUrl('http://A.example:4001', rules)).toEqual({ url: 'http://a.example:4001/' });
  });
});
