import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 20;
/** By then something has broken: nothing that is waited for takes so long. */
const LIMIT_MS = 5 * 60_000;

/**
 * Waits until something is there.
 *
 * @param what as the error names it
 * @throws Error when it is not there after `limitMs`
 */
export async function until(what: string, there: () => boolean | Promise<boolean>, limitMs = LIMIT_MS): Promise<void> {
  for (const end = performance.now() + limitMs; !(await there()); await pause(LOOK_MS)) {
    if (performance.now() > end) throw notThere(what, limitMs);
  }
}

/** What `work` comes to, as {@link until} waits. */
export async function within<T>(what: string, work: Promise<T>, limitMs = LIMIT_MS): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = setTimeout(() => reject(notThere(what, limitMs)), limitMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(late);
  }
}

const notThere = (what: string, limitMs: number) => new Error(`${what}: not there after ${limitMs / 1000} s`);
