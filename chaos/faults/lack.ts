import type { Rig } from '../rig.ts';

/** Something that Postgres lacks for a while: what it is called, and what brings it about and ends it. */
export interface Lack {
  readonly named: string;
  /** Resolves when it has ended: to what Postgres refused or kept waiting meanwhile, or to why it could not be tried. */
  last(rig: Rig, ms: number): Promise<{ readonly refusals: number } | { readonly untried: string }>;
}
