import type { Rig } from '../rig.ts';

/** Something that Postgres lacks for a while: what it is called, and what brings it about and ends it. */
export interface Lack {
  readonly named: string;
  /** Resolves when it has ended; to a reason when it could not be tried. */
  last(rig: Rig, ms: number): Promise<{ readonly untried: string } | null>;
}
