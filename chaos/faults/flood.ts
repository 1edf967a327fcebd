import { floods } from '../../torture/parts/floods.ts';
import { inLab } from './in-lab.ts';

/** One key that calls as fast as it can. */
export const floodedServer = inLab(
  { id: 'F19', what: 'one key far beyond its limit: 429 for it, and what another key’s calls lose' },
  floods,
);
