import { expect, it } from 'vitest';
import { createRandom, streamOf } from '../../chaos/random.ts';

const many = (seed: number) => {
  const random = createRandom(seed);
  return Array.from({ length: 1_000 }, () => random.next());
};

it('repeats a seed’s choices, and no other’s', () => {
  expect(many(7)).toEqual(many(7));
  expect(many(7)).not.toEqual(many(8));
  expect(new Set(many(7)).size).toBe(1_000);
});

it('stays within its bounds, and reaches both', () => {
  const random = createRandom(1);
  const seen = Array.from({ length: 1_000 }, () => random.between(3, 5));
  expect(new Set(seen)).toEqual(new Set([3, 4, 5]));
});

it('picks and shuffles what it is given, and refuses to pick from nothing', () => {
  const random = createRandom(2);
  const all = ['a', 'b', 'c', 'd'];
  expect(new Set(Array.from({ length: 200 }, () => random.pick(all)))).toEqual(new Set(all));
  const orders = Array.from({ length: 200 }, () => random.shuffled(all));
  expect(orders.every((order) => order.toSorted().join('') === 'abcd')).toBe(true);
  expect(new Set(orders.map((order) => order.join(''))).size).toBe(24);
  expect(() => random.pick([])).toThrow(RangeError);
});

it('has a stream for each name under a seed, and for each turn another one', () => {
  const few = (...name: [number, ...(string | number)[]]) => {
    const random = streamOf(...name);
    return [random.next(), random.next(), random.next()];
  };
  expect(few(7, 'F2', 1)).toEqual(few(7, 'F2', 1));
  const all = [few(7, 'F2', 1), few(7, 'F2', 2), few(7, 'F3', 1), few(8, 'F2', 1)];
  expect(new Set(all.map(String)).size).toBe(4);
});
