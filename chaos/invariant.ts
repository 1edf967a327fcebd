import type { Rig } from './rig.ts';

/** What must hold after everything was healed and has come to rest. */
export interface Invariant {
  /** As reliability.md numbers it, e.g. `I1`. */
  readonly id: string;
  readonly says: string;
  /** A sentence for each break, at most the first twenty; none when it holds. And how much was looked at. */
  check(rig: Rig): Promise<{ readonly looked: string; readonly breaks: readonly string[] }>;
}
