import type { Lab } from './lab.ts';

/**
 * What one turn of a contender measured, by figure. Common ones: `perSecond`, and `p50` and `p99` in milliseconds.
 */
export type Sample = Readonly<Record<string, number>>;

/** Does its work once and says what it measured. It throws when the work did not come about. */
export type Contender<Measured extends Sample = Sample> = () => Promise<Measured>;

/** One round: each contender's sample, by its name. */
export type Round<Names extends string = string, Measured extends Sample = Sample> = Readonly<Record<Names, Measured>>;

/** What a part found. */
export interface Findings {
  /** By the name of a target or a name of its own: one number per round. Also a time that has a target of its own. */
  readonly ratios: Readonly<Record<string, readonly number[]>>;
  /** What stands behind the ratios, and what is only reported; one number per round, or the only one. Names end with the unit. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
}

/**
 * A part of the benchmark: it starts what it needs in the lab, measures in rounds and says what it found. Parts that have
 * their `run` in common are measured together, on the same processes.
 */
export interface Part {
  /** As `--only` names it. */
  readonly name: string;
  /** For `--help`: what is compared with what. */
  readonly shows: string;
  /** @param asked names of the parts to measure, of those that it is the `run` of */
  readonly run: (lab: Lab, asked: ReadonlySet<string>) => Promise<Findings>;
}

/**
 * Lets the contenders take turns: one round after the other, each contender once a round. Each round begins with another
 * one, so that a machine that slows down or warms up does so for all of them alike.
 *
 * @returns `lab.rounds` rounds
 */
export async function race<Names extends string, Measured extends Sample>(
  lab: Pick<Lab, 'rounds' | 'say'>,
  contenders: Readonly<Record<Names, Contender<Measured>>>,
): Promise<Round<Names, Measured>[]> {
  const names = Object.keys(contenders) as Names[];
  const rounds: Round<Names, Measured>[] = [];
  for (let round = 1; round <= lab.rounds; round += 1) {
    const samples: Partial<Record<Names, Measured>> = {};
    const first = (round - 1) % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const sample = await contenders[name]();
      samples[name] = sample;
      lab.say(`round ${round} of ${lab.rounds}, ${name}: ${shown(sample)}`);
    }
    rounds.push(samples as Round<Names, Measured>);
  }
  return rounds;
}

/** All contenders' figures over all rounds, each under `<prefix>_<contender>_<figure>`; without a prefix if that is null. */
export function figuresOfRounds(prefix: string | null, rounds: readonly Round[]): Record<string, number[]> {
  const figures: Record<string, number[]> = {};
  for (const round of rounds) {
    for (const [name, sample] of Object.entries(round)) {
      for (const [figure, value] of Object.entries(sample)) {
        (figures[`${prefix === null ? '' : `${prefix}_`}${name}_${figure}`] ??= []).push(value);
      }
    }
  }
  return figures;
}

/** The middle of some numbers and their ends. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError without a number */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError('no number was measured');
  const middle = (sorted.length - 1) / 2;
  const [low = min, high = max] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return { median: (low + high) / 2, min, max };
}

/** The `share`th part (0 to 1) of some numbers, e.g. 0.99 for the 99th percentile; by the nearest rank. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (found === undefined) throw new RangeError('no number was measured');
  return found;
}

function shown(sample: Sample): string {
  return Object.entries(sample)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ');
}
