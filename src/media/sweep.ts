import { settleLateClones, sweepOneObject } from '../postgres/media.ts';
import type { Tenants } from '../postgres/tenants.ts';
import type { MediaStore } from './ports.ts';

/** What one round may look at. */
const OBJECTS_A_ROUND = 500;

/**
 * Takes objects away that no session refers to any more, or ever did, and what puts that died left behind; gives late
 * clones the files that were fetched while they were written. Safe to run in several processes.
 *
 * @returns whether there is more to do
 * @throws {MediaStoreUnavailable} what is left is tried in a later round
 */
export async function sweepMedia(tenants: Pick<Tenants, 'acrossTenants'>, media: MediaStore): Promise<boolean> {
  await tenants.acrossTenants('media', async (tx) => settleLateClones(tx));
  await media.tidy();
  for (let looked = 0; looked < OBJECTS_A_ROUND; looked += 1) {
    const swept = await tenants.acrossTenants('media', (tx) => sweepOneObject(tx, (key) => media.remove(key)));
    if (swept === 'nothing to look at') return false;
    if (swept !== 'looked') throw swept.failed;
  }
  return true;
}
