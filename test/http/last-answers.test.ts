import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
