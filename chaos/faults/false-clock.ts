import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { pythonTool } from '../../test/support/python-tools.ts';

/** Pinned: the package brings the library built. */
const REQUIREMENTS = ['libfaketime==3.0.1'];

/**
 * What a process is started with to see another time of day; timers and durations stay as they are.
 *
 * @param offsetSeconds from the real time; negative when its clock is behind
 * @throws Error on other systems than Linux
 */
export async function falseClock(offsetSeconds: number): Promise<Readonly<Record<string, string>>> {
  return { ...(await preload()), FAKETIME: offsetText(offsetSeconds) };
}

/** The same with a clock that can be moved while the process runs. @param file where the offset is kept */
export async function movableClock(file: string): Promise<{
  readonly env: Readonly<Record<string, string>>;
  /** From the next look at the clock on, a second later at most. */
  moveTo(offsetSeconds: number): void;
}> {
  const moveTo = (offsetSeconds: number) => writeFileSync(file, `${offsetText(offsetSeconds)}\n`);
  moveTo(0);
  return { env: { ...(await preload()), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1' }, moveTo };
}

async function preload(): Promise<Record<string, string>> {
  if (process.platform !== 'linux') throw new Error('false clocks need Linux, where libfaketime can be preloaded');
  const folder = dirname(await pythonTool(REQUIREMENTS));
  const [library] = globSync('lib/python*/site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1', {
    cwd: folder,
  });
  if (library === undefined) throw new Error(`${REQUIREMENTS.join()} brought no libfaketime.so.1`);
  // Node waits by the monotonic clock; moved, it would spin or sleep for ever.
  return { LD_PRELOAD: join(folder, library), DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

function offsetText(seconds: number): string {
  return `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}`;
}
