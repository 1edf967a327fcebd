import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { sayLastAnswers } from '../../src/http/last-answers.ts';

/** A server that listens, and one request to it over a connection of the agent. */
async function answering() {
  const server = createServer((_request, response) => response.end('answered')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask = async (agent: Agent) => {
    const asked = request({ host: '127.0.0.1', port, agent });
    asked.end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    return { connection: answer.headers.connection, reused: asked.reusedSocket };
  };
  return { server, ask };
}

it('answers over each kept connection once more, says that it is the last time, and takes no new connection', async () => {
  const [busy, idle, fresh] = [1, 2, 3].map(() => new Agent({ keepAlive: true })) as [Agent, Agent, Agent];
  const { server, ask } = await answering();
  expect(await ask(busy)).toEqual({ connection: 'keep-alive', reused: false });
  expect(await ask(idle)).toEqual({ connection: 'keep-alive', reused: false });
  const left = sayLastAnswers(server).then(() => 'left');
  expect(await ask(busy)).toEqual({ connection: 'close', reused: true });
  expect(await ask(busy)).toEqual({ connection: 'close', reused: false });
  // The listener is gone; a connection that has been idle for longer is not.
  while (server.listening) await sleep(20);
  await expect(ask(fresh)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await Promise.race([left, sleep(200, 'stays')])).toBe('stays');
  expect(await ask(idle)).toEqual({ connection: 'close', reused: true });
  // With nobody left to wait for, it waits no longer.
  expect(await Promise.race([left, sleep(1_500, 'stays')])).toBe('left');
});

it('leaves callers behind that do not end their connections', async () => {
  const idle = new Agent({ keepAlive: true });
  const { server, ask } = await answering();
  await ask(idle);
  await sayLastAnswers(server);
  // The caller hears of its connection's end a moment later.
  await sleep(100);
  await expect(ask(idle)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
