import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Bytes that sealing adds. */
export const AEAD_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/**
 * AES-256-GCM (NIST SP 800-38D): nonce (12 random bytes), ciphertext, tag (16 bytes).
 *
 * @param key 32 bytes; as a `KeyObject`, which is made once, a use takes a third of the time
 * @param place authenticated with the bytes: sealed bytes open in no other place
 */
export function seal(key: Uint8Array | KeyObject, place: Uint8Array, bytes: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(place);
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** What {@link seal} sealed; null when it was altered, cut, or sealed with another key or for another place. */
export function open(key: Uint8Array | KeyObject, place: Uint8Array, sealed: Buffer): Buffer | null {
  if (sealed.length < AEAD_OVERHEAD_BYTES) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(place).setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}
