import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 20;

/**
 * Waits until something is there.
 *
 * @param what as the error names it
 * @throws Error when it is not there after `limitMs`
 */
export async function until(
  what: string,
  there: () => boolean | Promise<boolean>,
  limitMs = 5 * 60_000,
): Promise<void> {
  for (const end = performance.now() + limitMs; !(await there()); await pause(LOOK_MS)) {
    if (performance.now() > end) throw new Error(`${what}: not there after ${limitMs / 1000} s`);
  }
}
