import type { Sealer } from '../crypto/payload-seal.ts';
import { sealingAnew, treatColumn } from './rotation/rewrap-columns.ts';
import { SEALED_COLUMNS } from './rotation/sealed-columns.ts';
import { alsoUnreadable, NONE_UNREADABLE, type Unreadable } from './rotation/unreadable.ts';
import type { Tenants } from './tenants.ts';

/** What came of sealing anew. */
export interface Resealed {
  readonly resealed: number;
  /** Secrets that no key opens, by their destination, or their application that ingests. They stay as they are. */
  readonly unreadable: Unreadable;
}

/** Secrets of tenants: keys that sign are sealed anew by whoever prepares them. */
const SECRETS = SEALED_COLUMNS.filter(({ table }) => table === 'webhook_secret' || table === 'ingest_secret');

/**
 * Seals anew every secret of a key that was replaced, which can leave the ring afterwards. What is not sealed stays so, and
 * unread. What another server, or a rotation, has at this moment is left to it.
 */
export async function resealSecrets(tenants: Tenants, sealer: Sealer): Promise<Resealed> {
  let resealed = 0;
  let unreadable = NONE_UNREADABLE;
  for (const column of SECRETS) {
    const outcome = await treatColumn({ tenants, crossing: 'secrets' }, column, sealingAnew(sealer, column));
    resealed += outcome.rewrapped;
    unreadable = alsoUnreadable(unreadable, outcome.unreadable);
  }
  return { resealed, unreadable };
}
