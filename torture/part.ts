import type { Lab } from './lab.ts';

/** One thing that was tried: what should have come of it, and what did. */
export interface Row {
  readonly what: string;
  readonly expected: string;
  readonly seen: string;
  readonly ok: boolean;
}

/** A part of the torture: it starts what it needs in the lab and says what came of it. */
export interface Part {
  /** As `--only` names it. */
  readonly name: string;
  /** For `--help`: what its rows show. */
  readonly shows: string;
  run(lab: Lab): Promise<readonly Row[]>;
}

/** A row whose number must lie between two, both included. */
export function within(what: string, seen: number, [least, most]: readonly [number, number], unit = ''): Row {
  const expected = least === most ? `${least}` : least === 0 ? `≤ ${most}` : `${least} to ${most}`;
  const shown = Number.isInteger(seen) ? String(seen) : seen.toFixed(1);
  return { what, expected: `${expected}${unit}`, seen: `${shown}${unit}`, ok: seen >= least && seen <= most };
}

/** A row of two texts or numbers that must be the same. */
export function same(what: string, seen: string | number, expected: string | number): Row {
  return { what, expected: String(expected), seen: String(seen), ok: seen === expected };
}
