/** A pause of a loop that somebody else may end. */
export interface InterruptiblePause {
  /** Resolves after so many milliseconds, or when it is ended before. */
  wait(ms: number): Promise<void>;
  /** Ends the pause under way; nothing happens when there is none. */
  end(): void;
}

/** One for each loop: it has one pause at a time. */
export function interruptiblePause(): InterruptiblePause {
  let end = (): void => {};
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        end = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    end: () => end(),
  };
}
