import { KEY_ID } from './key-ring.ts';

/** The keys that make and verify share tokens. A fixed ring is one as well. */
export interface ShareTokenKeys {
  /** The key of that id; undefined when there is none, or none any more. */
  get(kid: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/** After this time the stored keys are read again: what was added or removed is known to every process by then. */
export const REFRESH_MS = 2_000;

/** The stored keys are read for key ids that nobody knows at most once in this time, however many are asked for. */
const MISS_MS = 1_000;

/** A key id that was not there is not looked for again within this time: new ones can't be guessed. */
const ABSENT_MS = 10_000;
const MAX_ABSENT = 1_000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Keeps the stored keys for two seconds. An unknown key id reads them at once, or as soon as the last such reading is a
 * second old; made-up ids cost their callers that second, and the database no more than a reading.
 *
 * When they can't be read, known keys go on for as long as the store is away, and unknown ids fail.
 *
 * @param load reads every key that is neither removed nor unreadable, by key id
 */
export function rememberedKeys(load: () => Promise<ReadonlyMap<string, Uint8Array>>): ShareTokenKeys {
  let keys: ReadonlyMap<string, Uint8Array> = new Map();
  let readAt = -Infinity;
  let missedAt = -Infinity;
  let reading: Promise<void> | undefined;
  let missing: Promise<void> | undefined;
  const absentUntil = new Map<string, number>();

  /** Joins a reading that is under way. */
  function read(): Promise<void> {
    reading ??= (async () => {
      // The time of before, so that no key is older than it.
      const begun = performance.now();
      keys = await load();
      readAt = begun;
    })().finally(() => (reading = undefined));
    return reading;
  }

  /** Reads what was stored at the time of the call, or later. */
  function readForMissing(): Promise<void> {
    missing ??= (async () => {
      await sleep(Math.max(0, missedAt + MISS_MS - performance.now()));
      // Whoever asks from now on needs a later reading.
      missing = undefined;
      missedAt = performance.now();
      // One that is under way may have missed it.
      await reading?.catch(() => undefined);
      await read();
    })();
    return missing;
  }

  return {
    get: async (kid) => {
      if (!KEY_ID.test(kid)) return undefined;
      const askedAt = performance.now();
      if (askedAt - readAt >= REFRESH_MS) {
        await read().catch((error: unknown) => {
          if (!keys.has(kid)) throw error;
        });
      }
      const known = keys.get(kid);
      if (known !== undefined || (absentUntil.get(kid) ?? -Infinity) > performance.now()) return known;
      if (readAt < askedAt) await readForMissing();
      const found = keys.get(kid);
      if (found === undefined) {
        if (absentUntil.size >= MAX_ABSENT) absentUntil.clear();
        absentUntil.set(kid, performance.now() + ABSENT_MS);
      }
      return found;
    },
  };
}
