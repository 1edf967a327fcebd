import { expect, it } from 'vitest';
import { createRandom } from '../../chaos/random.ts';

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
