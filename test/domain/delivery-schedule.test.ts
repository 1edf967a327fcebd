import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { delayBeforeAttempt, DELIVERY_DELAYS_MS, MAX_ATTEMPTS } from '../../src/domain/delivery-schedule.ts';

const HOUR = 3_600_000;
const middle = (attempt: number) => delayBeforeAttempt(attempt, 0.5);

describe('the delivery schedule', () => {
  test('has a delay for every attempt after the first, and spans about 76.6 hours', () => {
    expect(DELIVERY_DELAYS_MS).toHaveLength(MAX_ATTEMPTS - 1);
    const [SECOND, MINUTE] = [1_000, 60_000];
    expect(DELIVERY_DELAYS_MS).toEqual([
      5 * SECOND,
      55 * SECOND,
      4 * MINUTE,
      30 * MINUTE,
      ...[1, 2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
    ]);
    const total = DELIVERY_DELAYS_MS.reduce((sum, delay) => sum + delay, 0);
    expect(total / HOUR).toBeCloseTo(76.58, 2);
  });

  test('puts the first four attempts at 0 s, 5 s, 1 min and 5 min, and the last a day after the one before', () => {
    expect(middle(1)).toBe(0);
    expect(middle(2)).toBe(5_000);
    expect(middle(2) + middle(3)).toBe(60_000);
    expect(middle(2) + middle(3) + middle(4)).toBe(300_000);
    expect(middle(12)).toBe(24 * HOUR);
  });

  test('spreads each delay over 20 % either way', () => {
    expect(delayBeforeAttempt(2, 0)).toBe(4_000);
    expect(delayBeforeAttempt(2, 1 - Number.EPSILON)).toBe(6_000);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (n, r) => {
          const base = DELIVERY_DELAYS_MS[n - 2] ?? Number.NaN;
          const delay = delayBeforeAttempt(n, r);
          return Number.isInteger(delay) && delay >= 0.8 * base && delay <= 1.2 * base;
        },
      ),
    );
  });

  test.each([0, 13, -1, 2.5, Number.NaN])('refuses attempt %s', (attempt) => {
    expect(() => delayBeforeAttempt(attempt, 0.5)).toThrow(/^attempt:/);
  });

  test.each([-0.1, 1, Number.NaN])('refuses the random number %s', (random) => {
    expect(() => delayBeforeAttempt(2, random)).toThrow(/^random:/);
  });
});
