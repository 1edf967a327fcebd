import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { REFRESH_MS, rememberedKeys } from '../../src/crypto/share-token-keys.ts';
import { PENDING_SECONDS } from '../../src/keys.ts';

const KEY = Buffer.alloc(32, 1);

let stored: Map<string, Uint8Array>;
let readings: number;
let failing: boolean;
/** Holds readings up, when it is set. */
let gate: Promise<void> | undefined;

const load = async () => {
  readings += 1;
  const keys = new Map(stored);
  await gate;
  if (failing) throw new Error('the store is away');
  return keys;
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  // The first second of a process is no special case.
  vi.advanceTimersByTime(60_000);
  stored = new Map([['old', KEY]]);
  readings = 0;
  failing = false;
  gate = undefined;
});
afterEach(() => void vi.useRealTimers());

/** What a look-up comes to, with the time going on as far as it waits. */
async function got(looking: ReturnType<ReturnType<typeof rememberedKeys>['get']>): Promise<Uint8Array | undefined> {
  await vi.advanceTimersByTimeAsync(1_500);
  return looking;
}

it('reads the stored keys once in two seconds, shared by all who ask', async () => {
  const keys = rememberedKeys(load);
  const some = await Promise.all(Array.from({ length: 50 }, async () => keys.get('old')));
  expect(some.every((key) => key === KEY)).toBe(true);
  vi.advanceTimersByTime(REFRESH_MS - 1);
  await keys.get('old');
  expect(readings).toBe(1);
  vi.advanceTimersByTime(1);
  await Promise.all([keys.get('old'), keys.get('old')]);
  expect(readings).toBe(2);
});

it('forgets a key that is not stored any more within that time', async () => {
  const keys = rememberedKeys(load);
  await keys.get('old');
  stored.delete('old');
  vi.advanceTimersByTime(REFRESH_MS);
  expect(await got(keys.get('old'))).toBeUndefined();
});

it('knows a key before it signs, without waiting for anything', async () => {
  const keys = rememberedKeys(load);
  await keys.get('old');
  stored.set('pending', KEY);
  expect(PENDING_SECONDS * 1000).toBeGreaterThan(2 * REFRESH_MS);
  vi.advanceTimersByTime(PENDING_SECONDS * 1000);
  expect(await keys.get('pending')).toBe(KEY);
});

it('reads at once for an unknown id', async () => {
  const keys = rememberedKeys(load);
  await keys.get('old');
  vi.advanceTimersByTime(1);
  stored.set('new', KEY);
  const looking = keys.get('new');
  await vi.advanceTimersByTimeAsync(2);
  expect(await looking).toBe(KEY);
  expect(readings).toBe(2);
});

it('reads no more than once a second for made-up ids, however many, and finds a real one among them', async () => {
  const keys = rememberedKeys(load);
  await keys.get('old');
  vi.advanceTimersByTime(1);
  const made = Array.from({ length: 500 }, (_, n) => keys.get(`made-up-${n}`));
  await vi.advanceTimersByTimeAsync(10);
  expect(readings).toBe(2);
  const more = Array.from({ length: 500 }, (_, n) => keys.get(`more-${n}`));
  stored.set('new', KEY);
  const real = keys.get('new');
  await vi.advanceTimersByTimeAsync(900);
  expect(readings).toBe(2);
  await vi.advanceTimersByTimeAsync(200);
  expect(await real).toBe(KEY);
  expect(readings).toBe(3);
  expect(new Set(await Promise.all([...made, ...more]))).toEqual(new Set([undefined]));
});

it('does not look again for an id that was not there, and for no text that is no id', async () => {
  const keys = rememberedKeys(load);
  expect(await got(keys.get('made-up'))).toBeUndefined();
  const before = readings;
  expect(await keys.get('made-up')).toBeUndefined();
  for (const text of ['', 'k'.repeat(65), 'a b', '../x', "' or 1=1", '\u0000']) {
    expect(await keys.get(text)).toBeUndefined();
  }
  expect(readings).toBeLessThanOrEqual(before + 1);
});

it('takes a reading that was begun before the question for no answer', async () => {
  const keys = rememberedKeys(load);
  let open: () => void = () => undefined;
  gate = new Promise((resolve) => (open = resolve));
  const first = keys.get('old');
  vi.advanceTimersByTime(5);
  stored.set('new', KEY);
  const looking = keys.get('new');
  gate = undefined;
  open();
  expect(await got(looking)).toBe(KEY);
  expect(await first).toBe(KEY);
});

it('goes on with what it knows while the store is away, and says nothing of what it does not know', async () => {
  const keys = rememberedKeys(load);
  await keys.get('old');
  failing = true;
  vi.advanceTimersByTime(REFRESH_MS * 100);
  expect(await keys.get('old')).toBe(KEY);
  await expect(keys.get('new')).rejects.toThrow('the store is away');
  failing = false;
  stored.set('new', KEY);
  expect(await got(keys.get('new'))).toBe(KEY);
});
