import { randomBytes, timingSafeEqual } from 'node:crypto';
import { apiKeyDigest, readKeyId } from './api-keys.ts';
import type { Privileges } from './privileges.ts';

/** A stored key, as the check needs it. */
export interface StoredApiKey {
  readonly keyId: string;
  readonly applicationId: string;
  readonly sha256: Buffer;
  readonly privileges: Privileges;
  /** Canonical CIDRs that it may be used from; none: from everywhere. */
  readonly allowedAddresses: readonly string[];
  readonly applicationDeleted: boolean;
  /** Neither revoked nor expired, by the database's clock at the look-up. */
  readonly living: boolean;
}

/** Who calls, proven by its key. */
export interface Caller {
  readonly keyId: string;
  readonly applicationId: string;
  readonly privileges: Privileges;
  /** Canonical CIDRs that it may call from; none: from everywhere. */
  readonly allowedAddresses: readonly string[];
  /** Its application is deleted: it still reads. */
  readonly applicationDeleted: boolean;
}

// A revoked key stops within this time (`security.md` row 7); a hot key costs one look-up in it.
const REMEMBERED_MS = 1_000;
const MAX_REMEMBERED = 10_000;
const NOBODY = randomBytes(32);

/**
 * Returns the check of keys: who the caller is, or null for a text that is no key, an unknown one, a wrong secret, and
 * a revoked or expired key alike. Known keys are remembered for at most one second; unknown ones never.
 *
 * @param find looks a key up by its id; its failures pass through
 */
export function createKeyChecker(
  find: (keyId: string) => Promise<StoredApiKey | null>,
): (text: string) => Promise<Caller | null> {
  const remembered = new Map<string, { readonly until: number; readonly stored: Promise<StoredApiKey | null> }>();

  function look(keyId: string): Promise<StoredApiKey | null> {
    const now = performance.now();
    const known = remembered.get(keyId);
    if (known !== undefined && known.until > now) return known.stored;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    // The time runs from before the look-up, so that no answer is older than it.
    const entry = { until: now + REMEMBERED_MS, stored: find(keyId) };
    remembered.set(keyId, entry);
    const forget = () => {
      if (remembered.get(keyId) === entry) remembered.delete(keyId);
    };
    entry.stored.then((stored) => stored ?? forget(), forget);
    return entry.stored;
  }

  return async (text) => {
    const keyId = readKeyId(text);
    if (keyId === null) return null;
    const stored = await look(keyId);
    // An unknown id is compared too, so that both answers take the same work.
    const equal = timingSafeEqual(apiKeyDigest(text), stored?.sha256 ?? NOBODY);
    if (stored === null || !equal || !stored.living) return null;
    const { applicationId, privileges, allowedAddresses, applicationDeleted } = stored;
    return { keyId, applicationId, privileges, allowedAddresses, applicationDeleted };
  };
}
