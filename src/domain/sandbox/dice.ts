/** A source of variety that always falls the same way for the same seed. Not random enough for anything secret. */
export interface Dice {
  /** A whole number from 0 up to, and without, this one. */
  below(limit: number): number;
  /** One of some choices, of which there is at least one. */
  pick<const T>(choices: readonly T[]): T;
  /** Decimal digits as text. */
  digits(count: number): string;
  /** A decimal between two bounds, with this many digits after the point. */
  decimal(least: number, most: number, places?: number): number;
  uuid(): string;
}

/** Dice for a seed, such as a session id. */
export function diceOf(seed: string): Dice {
  let state = hashOf(seed);
  // mulberry32: 32 bits of state are plenty for telling invented people apart.
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  const digits = (count: number): string => Array.from({ length: count }, () => below(10)).join('');
  const hex = (count: number): string => Array.from({ length: count }, () => below(16).toString(16)).join('');
  return {
    below,
    digits,
    pick: (choices) => {
      const chosen = choices[below(choices.length)];
      if (chosen === undefined) throw new RangeError('there is nothing to pick from');
      return chosen;
    },
    decimal: (least, most, places = 2) => Number((least + next() * (most - least)).toFixed(places)),
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${(8 + below(4)).toString(16)}${hex(3)}-${hex(12)}`,
  };
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return hash;
}
