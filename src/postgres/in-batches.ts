/**
 * Does together what is asked for while the last batch is under way, so that many share one commit; what is asked for
 * alone is done at once. A batch that fails is done again one by one: only whoever spoils it hears of it.
 *
 * @param work does a whole batch, or nothing of it
 * @param most how many a batch has at most
 */
export function inBatches<T>(work: (batch: readonly T[]) => Promise<void>, most: number): (one: T) => Promise<void> {
  const waiting: { readonly one: T; readonly done: (outcome: Promise<void>) => void }[] = [];
  let underWay = false;

  async function workOff(): Promise<void> {
    underWay = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, most);
      try {
        await work(batch.map(({ one }) => one));
        for (const { done } of batch) done(Promise.resolve());
      } catch (error) {
        for (const { one, done } of batch) {
          const alone = batch.length === 1 ? failWith(error) : work([one]);
          done(alone);
          await alone.catch(() => {});
        }
      }
    }
    underWay = false;
  }

  return (one) =>
    new Promise((resolve) => {
      waiting.push({ one, done: resolve });
      if (!underWay) void workOff();
    });
}

async function failWith(error: unknown): Promise<void> {
  throw error;
}
