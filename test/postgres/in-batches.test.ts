import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { inBatches } from '../../src/postgres/in-batches.ts';

/** Notes its batches, each of which takes a while; the ones with a spoiler fail. */
function lab(most: number) {
  const batches: number[][] = [];
  const ask = inBatches<number>(async (batch) => {
    batches.push([...batch]);
    await pause(5);
    if (batch.includes(-1)) throw new Error('spoiled');
  }, most);
  return { batches, ask };
}

it('does what comes alone at once, and together what comes while that is under way', async () => {
  const { batches, ask } = lab(10);
  await Promise.all([1, 2, 3, 4].map(ask));
  await ask(5);
  expect(batches).toEqual([[1], [2, 3, 4], [5]]);
});

it('makes no batch larger than it may be', async () => {
  const { batches, ask } = lab(2);
  await Promise.all([1, 2, 3, 4, 5, 6].map(ask));
  expect(batches).toEqual([[1], [2, 3], [4, 5], [6]]);
});

it('does a batch that fails one by one, and lets only the spoiler know', async () => {
  const { batches, ask } = lab(10);
  const outcomes = await Promise.allSettled([1, 2, -1, 3].map(ask));
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(batches).toEqual([[1], [2, -1, 3], [2], [-1], [3]]);
  await expect(ask(-1)).rejects.toThrow('spoiled');
  await ask(4);
  expect(batches.slice(-2)).toEqual([[-1], [4]]);
});
