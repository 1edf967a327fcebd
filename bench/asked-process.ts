import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Lab } from './lab.ts';

/** What a process answers that could not do what it was asked for. */
export interface Failed {
  readonly failed: string;
}

/**
 * Starts a process of ours that does one thing after the other as it is asked, by messages. It ends with the part, and by
 * itself when this process ends.
 *
 * @param file in this folder
 * @returns asks, and resolves to the answer; rejects for a {@link Failed} one
 */
export function startAsked<Outcome extends object>(
  lab: Lab,
  file: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): (work: object) => Promise<Outcome> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], { env });
  const ended = once(child, 'exit');
  lab.onEnd(async () => {
    if (child.connected) child.disconnect();
    await ended;
  });
  return async (work) => {
    const answer = once(child, 'message');
    child.send(work);
    const [outcome] = (await Promise.race([
      answer,
      ended.then(() => [{ failed: `the process of ${file} has ended` }]),
    ])) as [Outcome | Failed];
    if ('failed' in outcome) throw new Error(outcome.failed);
    return outcome;
  };
}
