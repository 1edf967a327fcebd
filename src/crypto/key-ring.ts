/** Signing keys by key id. New things are signed with the active key; the others still verify. */
export type KeyRing = {
  /** The id of the key that signs. */
  readonly activeKid: string;
  /** Every key id, the active one first. */
  readonly kids: readonly string[];
  /** The key of that id, or undefined. */
  readonly get: (kid: string) => Uint8Array | undefined;
};

/** A key ring's text can't be used. The message says which entry and why, and never repeats any of the text. */
export class KeyRingInvalid extends Error {
  override readonly name = 'KeyRingInvalid';
}

const MIN_KEY_BYTES = 32;
/** What the id of a key looks like. */
export const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** The command that makes a key: 32 random bytes in base64url. */
export const MAKE_A_KEY = `node -p "require('node:crypto').randomBytes(32).toString('base64url')"`;
const HOW = `make one with: ${MAKE_A_KEY}`;

function decodeKey(text: string, where: string): Uint8Array {
  const key = Buffer.from(text, 'base64url');
  if (text === '' || key.toString('base64url') !== text) {
    throw new KeyRingInvalid(`${where}: the key is not base64url without padding; ${HOW}`);
  }
  if (key.length < MIN_KEY_BYTES) {
    throw new KeyRingInvalid(`${where}: the key has ${key.length} bytes, fewer than ${MIN_KEY_BYTES}; ${HOW}`);
  }
  return key;
}

/**
 * Reads a key ring from a setting such as `2026-11:<base64url>,2026-05:<base64url>`: the first entry signs, all verify.
 * Key ids match `[A-Za-z0-9_-]{1,64}` and don't repeat; keys have at least 32 bytes (an HS256 key of one byte would sign).
 * @throws {KeyRingInvalid}
 */
export function parseKeyRing(text: string): KeyRing {
  const keys = new Map<string, Uint8Array>();
  for (const [index, raw] of text.split(',').entries()) {
    const where = `Key ring entry ${index + 1}`;
    const entry = raw.trim();
    if (entry === '') throw new KeyRingInvalid(`${where} is empty: write <key id>:<key>; ${HOW}`);
    const colon = entry.indexOf(':');
    if (colon < 0) throw new KeyRingInvalid(`${where} has no key id: write <key id>:<key>; ${HOW}`);
    const kid = entry.slice(0, colon);
    if (!KEY_ID.test(kid)) {
      throw new KeyRingInvalid(
        `${where}: the key id must be 1 to 64 of A-Z a-z 0-9 _ -; rename it, as in 2026-11:<key>`,
      );
    }
    if (keys.has(kid)) {
      throw new KeyRingInvalid(`${where} repeats the key id of an earlier entry: give each key an id of its own`);
    }
    keys.set(kid, decodeKey(entry.slice(colon + 1), where));
  }
  const kids = [...keys.keys()];
  const [activeKid] = kids;
  if (activeKid === undefined) throw new KeyRingInvalid(`The key ring is empty: ${HOW}`);
  // Keys stay in the closure, so that logging the ring shows none.
  return { activeKid, kids, get: (kid) => keys.get(kid) };
}
