import { describe, expect, it } from 'vitest';
import { lockSeconds } from '../../src/accounts/lock-out.ts';
import { createOneTimeCodes } from '../../src/accounts/one-time-codes.ts';

it('each fifth failure locks, longer and longer', () => {
  const locks = Array.from({ length: 31 }, (_, failures) => [failures, lockSeconds(failures)] as const).filter(
    ([, seconds]) => seconds !== null,
  );
  expect(locks).toEqual([
    [5, 900],
    [10, 3_600],
    [15, 3_600],
    [20, 86_400],
    [25, 86_400],
    [30, 86_400],
  ]);
});

describe('a one-time code', () => {
  const codes = createOneTimeCodes(Buffer.alloc(32, 9));

  it('has six letters and digits that nobody mistakes, and hardly repeats', () => {
    const made = Array.from({ length: 500 }, () => codes.make());
    expect(made.every((code) => /^[2-9A-HJ-NP-Z]{6}$/.test(code))).toBe(true);
    expect(new Set(made).size).toBeGreaterThan(495);
  });

  it('fits its own account alone, and only under our key', () => {
    const stored = codes.hmac('account-1', 'K7PX4M');
    expect(stored).toHaveLength(32);
    expect(codes.fits('account-1', ' k7px4m ', stored)).toBe(true);
    expect(codes.fits('account-1', 'K7PX4N', stored)).toBe(false);
    expect(codes.fits('account-2', 'K7PX4M', stored)).toBe(false);
    expect(codes.fits('account-1', 'K7PX4M', null)).toBe(false);
    expect(codes.fits(null, 'K7PX4M', stored)).toBe(false);
    expect(createOneTimeCodes(Buffer.alloc(32, 8)).fits('account-1', 'K7PX4M', stored)).toBe(false);
  });
});
