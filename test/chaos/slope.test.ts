import { expect, it } from 'vitest';
import { slope } from '../../chaos/slope.ts';

it('finds what rises, and by how much', () => {
  const rising = Array.from({ length: 20 }, (_, at) => ({ at, value: 5 + 2 * at }));
  expect(slope(rising)).toBeCloseTo(2);
  expect(slope(rising.map(({ at }) => ({ at, value: 7 })))).toBeCloseTo(0);
  expect(slope(rising.map(({ at, value }) => ({ at, value: value + (at % 2) })))).toBeCloseTo(2, 1);
  expect([slope([]), slope([{ at: 1, value: 2 }])]).toEqual([0, 0]);
});
