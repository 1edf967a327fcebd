import { mkdirSync } from 'node:fs';
import type { Progress } from '../../src/dev/progress.ts';

/** What was started, and what takes it away again. */
export interface Ending {
  /** The last is undone first. */
  readonly onEnd: (undo: () => Promise<unknown>) => void;
  /** Undoes whatever there is, and tells of what cannot be undone. Calling it again waits for the same end. */
  readonly end: () => Promise<void>;
}

/** An end to which nothing belongs yet. */
export function openEnding(say: Progress): Ending {
  const undos: (() => Promise<unknown>)[] = [];
  let ending: Promise<void> | undefined;
  const end = async () => {
    for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
      await undo().catch((error: unknown) => say(`Clearing up: ${String(error)}`));
    }
  };
  return { onEnd: (undo) => void undos.push(undo), end: () => (ending ??= end()) };
}

/** An {@link Ending} of what several share. */
export interface SharedEnding extends Ending {
  /** Makes something for the first that asks; whoever asks again has the same. The end waits until it is made. */
  readonly once: <T>(make: () => Promise<T>) => () => Promise<T>;
}

/** The same of things that are made when somebody asks for them. */
export function openSharedEnding(say: Progress): SharedEnding {
  const { onEnd, end } = openEnding(say);
  const begun: Promise<unknown>[] = [];
  const once = <T>(make: () => Promise<T>) => {
    let made: Promise<T> | undefined;
    return () => {
      if (made === undefined) begun.push((made = make()));
      return made;
    };
  };
  return {
    onEnd,
    once,
    end: async () => {
      // What is being started could not be stopped yet.
      await Promise.allSettled(begun);
      await end();
    },
  };
}

/** Gives `work` a lab in a folder of its own, and takes away what it started there, however the work ended. */
export async function withLab<Given extends { readonly folder: string; readonly say: Progress }, T>(
  given: Given,
  work: (lab: Given & Pick<Ending, 'onEnd'>) => Promise<T>,
): Promise<T> {
  mkdirSync(given.folder, { recursive: true });
  const { onEnd, end } = openEnding(given.say);
  try {
    return await work({ ...given, onEnd });
  } finally {
    await end();
  }
}

/**
 * When this process is told to end, lets it end what it started first, and then exits with 1. A second time it ends at
 * once.
 */
export function endOnSignal(say: Progress, end: () => Promise<unknown>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      say(`${signal}: ending everything`);
      void end().finally(() => process.exit(1));
    });
  }
}
