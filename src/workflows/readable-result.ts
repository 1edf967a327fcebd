import { ApplicationFailure, sleep } from '@temporalio/workflow';

/** About 25 minutes of waits. */
const MAX_TRIES = 30;
const LONGEST_WAIT_MS = 60_000;

/** Whether a step's result is one: what somebody completed by hand, or what no key opens, is read as `undefined`. */
export function isReadable(result: unknown): boolean {
  return typeof result === 'object' && result !== null;
}

/**
 * Runs a step, which runs twice without harm, again until its result can be read. To use one that cannot would fail the
 * workflow task for ever.
 *
 * @throws {ApplicationFailure} `unreadable_result` after thirty tries: the run fails, and the relay sees to its row
 */
export async function untilReadable<Result>(
  step: () => Promise<Result>,
  isResult: (result: unknown) => boolean = isReadable,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    const result = await step();
    if (isResult(result)) return result;
    if (tries === MAX_TRIES) {
      throw ApplicationFailure.create({
        type: 'unreadable_result',
        message: `no result of ${MAX_TRIES} tries of a step could be decoded`,
        nonRetryable: true,
      });
    }
    await sleep(Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** (tries - 1)), { summary: 'before a step is tried again' });
  }
}
