import { createHmac, hkdfSync } from 'node:crypto';
import type { BlindIndex, SearchField } from '../sharing/ports.ts';

const TERM_BYTES = 16;
const MAX_KEYS = 1_000;

/**
 * Keyed hashes for exact search: HMAC-SHA256 under a key of the application, derived from ours, so that equal values of
 * two applications have nothing in common. Case, width, accents' composition and spacing make no difference; in numbers of
 * documents neither do hyphens, dots and slashes.
 *
 * @param key 32 bytes or more; a changed key finds nothing that was stored before
 */
export function createBlindIndex(key: Uint8Array): BlindIndex {
  if (key.length < 32) throw new RangeError('a blind index needs a key of at least 32 bytes');
  const keys = new Map<string, Buffer>();
  function keyOf(applicationId: string): Buffer {
    const known = keys.get(applicationId);
    if (known !== undefined) return known;
    if (keys.size >= MAX_KEYS) keys.clear();
    const derived = Buffer.from(hkdfSync('sha256', key, applicationId, 'handoff blind index', 32));
    keys.set(applicationId, derived);
    return derived;
  }
  return {
    term: (applicationId, field, value) =>
      createHmac('sha256', keyOf(applicationId))
        .update(`${field}:${normalise(field, value)}`)
        .digest()
        .subarray(0, TERM_BYTES),
  };
}

function normalise(field: SearchField, value: string): string {
  const folded = value.normalize('NFKC').toLowerCase().normalize('NFKC').trim();
  return field === 'document_number' ? folded.replace(/[\s./-]/g, '') : folded.replace(/\s+/g, ' ');
}
