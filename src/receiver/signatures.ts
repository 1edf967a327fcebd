const SHA256_BYTES = 32;
const HEX_OF_SHA256 = /^[0-9a-f]{64}$/i;

/** Whether one of the keys made one of the signatures (HMAC-SHA256) over the message, which is hashed once for each key. */
export async function isSigned(
  message: Uint8Array<ArrayBuffer>,
  keys: readonly Uint8Array<ArrayBuffer>[],
  signatures: readonly (Uint8Array<ArrayBuffer> | null)[],
): Promise<boolean> {
  const readable = signatures.filter((signature) => signature?.length === SHA256_BYTES);
  if (readable.length === 0) return false;
  for (const bytes of keys) {
    const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const expected = new Uint8Array(await crypto.subtle.sign('HMAC', key, message));
    if (readable.some((signature) => signature !== null && areSame(signature, expected))) return true;
  }
  return false;
}

/** Compares all bytes, whichever differ: how long it takes tells nothing of the expected ones. */
function areSame(given: Uint8Array, expected: Uint8Array): boolean {
  return given.reduce((differences, byte, index) => differences | (byte ^ (expected[index] ?? 0)), 0) === 0;
}

/** The bytes of a SHA-256 in hexadecimal, or null when it is none. */
export function decodeHex(text: string | undefined): Uint8Array<ArrayBuffer> | null {
  if (text === undefined || !HEX_OF_SHA256.test(text)) return null;
  return Uint8Array.from({ length: SHA256_BYTES }, (_, index) =>
    Number.parseInt(text.slice(2 * index, 2 * index + 2), 16),
  );
}
