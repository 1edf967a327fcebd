import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { sayLastAnswers } from '../../src/http/last-answers.ts';

it('answers what still comes, and says that each answer is the last of its connection', async () => {
  const server = createServer((_request, response) => response.end('answered'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = async () => {
    const answer = await fetch(url);
    return [await answer.text(), answer.headers.get('connection')];
  };
  try {
    expect(await ask()).toEqual(['answered', 'keep-alive']);
    const leaving = sayLastAnswers(server);
    expect(await ask()).toEqual(['answered', 'close']);
    expect(await ask()).toEqual(['answered', 'close']);
    await leaving;
    expect(server.listening).toBe(false);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** Calls from a thread of its own every few milliseconds, until nobody listens; tells what went wrong with the others. */
const CALLER = `
  const { parentPort, workerData: url } = require('node:worker_threads');
  const problems = [];
  let answered = 0;
  (async () => {
    for (let refused = false; !refused; ) {
      const call = fetch(url).then((answer) => answer.text()).then(() => { answered += 1; }, ({ cause }) => {
        if (cause?.code === 'ECONNREFUSED') refused = true;
        else problems.push(String(cause?.code));
      });
      await Promise.race([call, new Promise((resolve) => setTimeout(resolve, 5))]);
    }
    parentPort.postMessage({ answered, problems });
  })();
`;

it('resets nobody who called while the process was busy with something else', async () => {
  const server = createServer((_request, response) => response.end('answered'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const caller = new Worker(CALLER, { eval: true, workerData: url });
  const told = once(caller, 'message');
  await once(server, 'request');
  const left = sayLastAnswers(server);
  // Over the moment at which it would stop to listen: what calls meanwhile is not seen until after it.
  setTimeout(() => {
    const until = performance.now() + 150;
    while (performance.now() < until);
  }, 900);
  await left;
  expect(await told).toEqual([{ answered: expect.any(Number) as number, problems: [] }]);
  await caller.terminate();
});
