import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { openEnding, openSharedEnding, withLab } from './ending.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-ending-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('what was started last is undone first, all of it and once, also what is started meanwhile', async () => {
  const done: string[] = [];
  const { onEnd, end } = openEnding((line) => done.push(line));
  onEnd(async () => done.push('first'));
  onEnd(async () => {
    done.push('second');
    onEnd(async () => done.push('late'));
  });
  onEnd(() => Promise.reject(new Error('it clings')));
  await Promise.all([end(), end()]);
  expect(done).toEqual(['Clearing up: Error: it clings', 'second', 'late', 'first']);
});

test('what is shared is made once, and the end waits until it is', async () => {
  const done: string[] = [];
  const { once, onEnd, end } = openSharedEnding((line) => done.push(line));
  const server = once(async () => {
    await pause(20);
    onEnd(async () => done.push('stopped'));
    return done.push('started');
  });
  const both = Promise.all([server(), server()]);
  await end();
  expect(done).toEqual(['started', 'stopped']);
  expect(await both).toEqual([1, 1]);
});

test('a lab is taken away when its work breaks', async () => {
  const done: string[] = [];
  const given = { folder: join(folder, 'lab'), say: () => undefined, rounds: 3 };
  const work = withLab(given, async ({ rounds, onEnd }) => {
    onEnd(async () => done.push('undone'));
    throw new Error(`broke in round ${rounds}`);
  });
  await expect(work).rejects.toThrow('broke in round 3');
  expect(done).toEqual(['undone']);
});

const WAITING = `
  import { endOnSignal } from ${JSON.stringify(new URL('ending.ts', import.meta.url).href)};
  endOnSignal(console.log, () => new Promise((resolve) => setTimeout(() => resolve(console.log('all is ended')), 50)));
  setInterval(() => undefined, 1_000);
  process.send('waits');`;

test.for(['SIGINT', 'SIGTERM'] as const)('a command that gets %s ends what it started, then itself', async (signal) => {
  const command = spawn(process.execPath, ['--input-type=module', '-e', WAITING], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const [said, exited] = [text(command.stdout ?? Readable.from([])), once(command, 'exit')];
  await once(command, 'message');
  command.kill(signal);
  expect(await exited).toEqual([1, null]);
  expect(await said).toBe(`${signal}: ending everything\nall is ended\n`);
});
