import type { Sealer } from '../crypto/payload-seal.ts';
import { rewrapColumn } from './rotation/rewrap-columns.ts';
import { SEALED_COLUMNS } from './rotation/sealed-columns.ts';
import type { Tenants } from './tenants.ts';

/** What came of sealing anew. */
export interface Resealed {
  readonly resealed: number;
  /** Of the secrets that no key opens: which destination's, or application's that ingests. They stay as they are. */
  readonly unreadable: readonly string[];
}

/** Secrets of tenants: keys that sign are sealed anew by whoever prepares them. */
const SECRETS = SEALED_COLUMNS.filter(({ table }) => table === 'webhook_secret' || table === 'ingest_secret');

/**
 * Seals anew every secret that is not sealed with the active key: those of before there were keys, and those of a key
 * that was replaced, which can leave the ring afterwards. What another server, or a rotation, has at this moment is left
 * to it.
 */
export async function resealSecrets(tenants: Tenants, sealer: Sealer): Promise<Resealed> {
  let resealed = 0;
  const unreadable: string[] = [];
  for (const column of SECRETS) {
    const outcome = await rewrapColumn({ tenants, sealer, crossing: 'secrets' }, column);
    resealed += outcome.rewrapped;
    unreadable.push(...outcome.unreadable.map(({ id }) => id));
  }
  return { resealed, unreadable };
}
