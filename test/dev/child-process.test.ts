import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChildOptions, startChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { isRunning, waitUntilGone } from '../support/processes.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'handoff-child-'));
});
afterAll(() => rm(folder, { recursive: true }));

function shell(script: string, options: Partial<ChildOptions> = {}): ChildOptions {
  const logFile = join(folder, 'child.log');
  return {
    name: 'The child',
    command: '/bin/sh',
    args: ['-c', script],
    logFile,
    ready: () => Promise.resolve(true),
    ...options,
  };
}

test('stop ends the process; a second stop changes nothing', async () => {
  const child = await startChild(shell('exec sleep 600'));
  expect(isRunning(child.pid)).toBe(true);
  await child.stop();
  await child.stop();
  expect(isRunning(child.pid)).toBe(false);
  expect(await child.ended).toBe('signal SIGTERM');
});

test('a process that ignores the stop signal is killed after the grace time', async () => {
  let tries = 0;
  const ready = (): Promise<boolean> => Promise.resolve(++tries > 4);
  const child = await startChild(shell("trap '' TERM; while :; do sleep 1; done", { graceMs: 100, ready }));
  await child.stop();
  expect(await child.ended).toBe('signal SIGKILL');
});

test('a child that ends before it is ready is an error with its last words', async () => {
  const early = startChild(shell('echo the disk is full >&2; exit 3', { ready: () => Promise.resolve(false) }));
  await expect(early).rejects.toThrow(/^The child did not start: it ended with code 3\. .*\nthe disk is full$/s);
});

test('a child that never gets ready is ended', async () => {
  let pid = 0;
  const ready = (): Promise<boolean> => Promise.reject(new Error('not yet'));
  const late = startChild(shell('echo pid $$; exec sleep 600', { ready, readyWithinMs: 300 })).catch((error: Error) => {
    pid = Number(/pid (\d+)/.exec(error.message)?.[1]);
    return error.message;
  });
  expect(await late).toMatch(/not ready after 0.3 s/);
  expect(isRunning(pid)).toBe(false);
});

test('a command that does not exist is an error', async () => {
  await expect(startChild(shell('', { command: join(folder, 'nothing') }))).rejects.toThrow(/did not start: .*ENOENT/);
});

test('a child ends with its parent, even when that is killed by SIGKILL', async () => {
  const module = fileURLToPath(new URL('../../src/dev/child-process.ts', import.meta.url));
  const program = `
    const { startChild } = await import(${JSON.stringify(module)});
    const child = await startChild({ name: 'x', command: 'sleep', args: ['600'], logFile: ${JSON.stringify(join(folder, 'orphan.log'))}, ready: async () => true });
    console.log(child.pid);
  `;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  expect(isRunning(pid)).toBe(true);
  parent.kill('SIGKILL');
  await waitUntilGone(pid);
});

test('freePort steps over a taken port and never gives one twice', async () => {
  const first = await freePort();
  const server = createServer().listen(first + 1, '127.0.0.1');
  await once(server, 'listening');
  expect(await freePort(first)).toBe(first + 2);
  server.close();
});
