import { percentile } from './frame.ts';

/** How a number of calls went that were made a few at a time. */
export interface Timing {
  readonly seconds: number;
  /** Of each call, in milliseconds. */
  readonly latencies: readonly number[];
}

/** Does `work` for every item, `atATime` of them at once, and takes the time. The first failure ends it. */
export async function inFlight<Item, Result>(
  items: readonly Item[],
  atATime: number,
  work: (item: Item) => Promise<Result>,
): Promise<Timing & { readonly results: Result[] }> {
  const latencies: number[] = [];
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next;
      next += 1;
      const begun = performance.now();
      try {
        results[index] = await work(items[index] as Item);
      } catch (error) {
        next = items.length;
        throw error;
      }
      latencies.push(performance.now() - begun);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: atATime }, worker));
  return { seconds: (performance.now() - begun) / 1000, latencies, results };
}

/** Calls per second, and the middle and the slow end of them in milliseconds. */
export type Rate = Readonly<Record<'perSecond' | 'p50Ms' | 'p99Ms', number>>;

export function rateOf({ seconds, latencies }: Timing): Rate {
  return {
    perSecond: latencies.length / seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  };
}
