/** Does something `count` times, so many of them at once; what came of each, in their order. */
export async function inFlight<T>(atOnce: number, count: number, work: (nth: number) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  let next = 0;
  const one = async () => {
    for (let nth = next++; nth < count; nth = next++) done[nth] = await work(nth);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, one));
  return done;
}
