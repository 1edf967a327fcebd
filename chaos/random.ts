import { createHash } from 'node:crypto';

/** A stream of choices that a seed repeats. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number between two, both included. */
  between(least: number, most: number): number;
  pick<T>(among: readonly [T, ...T[]] | readonly T[]): T;
  shuffled<T>(all: readonly T[]): T[];
}

/** Mulberry32: enough for the order of faults, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    between,
    pick: (among) => {
      const picked = among[between(0, among.length - 1)];
      if (picked === undefined) throw new RangeError('nothing to pick from');
      return picked;
    },
    shuffled: (all) =>
      all
        .map((each) => ({ each, at: next() }))
        .toSorted((one, other) => one.at - other.at)
        .map(({ each }) => each),
  };
}

/** A stream of its own for each name under a seed: what others draw, and how much, changes nothing in it. */
export function streamOf(seed: number, ...name: readonly (string | number)[]): Random {
  return createRandom(
    createHash('sha256')
      .update([seed, ...name].join(' '))
      .digest()
      .readUInt32BE(),
  );
}
