// A key's last use is told to about a minute.
const NOTED_FOR_MS = 60_000;
const MAX_NOTED = 10_000;

/** Notes when keys are used, beside the requests that use them. */
export interface KeyUse {
  /** Notes a use; returns at once. */
  note(keyId: string): void;
  /** Resolves when all that was noted is written, or could not be. */
  idle(): Promise<void>;
}

/**
 * Writes each key's use about once a minute and process.
 *
 * @param write may fail: the next use after a minute is written again
 */
export function createKeyUse(write: (keyId: string) => Promise<unknown>): KeyUse {
  const notedAt = new Map<string, number>();
  const writing = new Set<Promise<unknown>>();
  return {
    note: (keyId) => {
      const now = performance.now();
      const before = notedAt.get(keyId);
      if (before !== undefined && now - before < NOTED_FOR_MS) return;
      if (notedAt.size >= MAX_NOTED) notedAt.clear();
      notedAt.set(keyId, now);
      const written = write(keyId)
        .catch(() => undefined)
        .finally(() => writing.delete(written));
      writing.add(written);
    },
    idle: async () => {
      await Promise.all(writing);
    },
  };
}
