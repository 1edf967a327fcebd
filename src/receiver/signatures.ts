const SHA256_BYTES = 32;
const HEX_OF_SHA256 = /^[0-9a-f]{64}$/i;

/** Whether one of the keys made one of the signatures (HMAC-SHA256) over the message. */
export async function isSigned(
  message: Uint8Array<ArrayBuffer>,
  keys: readonly Uint8Array<ArrayBuffer>[],
  signatures: readonly (Uint8Array<ArrayBuffer> | null)[],
): Promise<boolean> {
  const readable = signatures.filter((signature) => signature?.length === SHA256_BYTES);
  for (const bytes of keys) {
    const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    for (const signature of readable) {
      // Web Crypto compares in constant time, as its specification demands.
      if (signature !== null && (await crypto.subtle.verify('HMAC', key, signature, message))) return true;
    }
  }
  return false;
}

/** The bytes of a SHA-256 in hexadecimal, or null when it is none. */
export function decodeHex(text: string | undefined): Uint8Array<ArrayBuffer> | null {
  if (text === undefined || !HEX_OF_SHA256.test(text)) return null;
  return Uint8Array.from({ length: SHA256_BYTES }, (_, index) =>
    Number.parseInt(text.slice(2 * index, 2 * index + 2), 16),
  );
}
