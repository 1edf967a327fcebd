import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { falseClock, movableClock } from '../../chaos/faults/false-clock.ts';

/** Seconds that a process of Node believes to have passed since the real moment at which it was started. */
async function seenBy(env: Readonly<Record<string, string>>): Promise<number> {
  // A wait by the monotonic clock comes to its end whatever the time of day is.
  const program = 'setTimeout(() => console.log(Date.now()), 50)';
  const begun = Date.now();
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { env: { ...process.env, ...env } });
  return (Number(stdout) - begun) / 1_000;
}

describe.runIf(process.platform === 'linux')('a process with a false clock', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'handoff-clock-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([600, -600])('is %d s off', async (offset) => {
    const seconds = await seenBy(await falseClock(offset));
    expect(Math.abs(seconds - offset)).toBeLessThan(60);
  });

  test('that can be moved is where it was moved to', async () => {
    const clock = await movableClock(join(folder, 'offset'));
    expect(Math.abs(await seenBy(clock.env))).toBeLessThan(60);
    clock.moveTo(-600);
    expect(Math.abs((await seenBy(clock.env)) + 600)).toBeLessThan(60);
  });
});
