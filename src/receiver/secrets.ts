const STANDARD_PREFIX = 'whsec_';
const BASE64URL_OF_32_BYTES = /^[A-Za-z0-9_-]{43}$/;
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/** The HMAC keys that one secret stands for. */
export interface SecretKeys {
  /** Of `webhook-signature`: the bytes; null for a text that is not a written form of any. */
  readonly standard: Uint8Array<ArrayBuffer> | null;
  /** Of Didit's headers: the UTF-8 of the text itself, never its decoding. */
  readonly didit: Uint8Array<ArrayBuffer>;
}

/**
 * Reads a secret in either of its written forms, `whsec_` and standard base64 or Didit's 43 characters, which mean the
 * same bytes; any other text is taken literally, as Didit takes its own.
 *
 * @throws {TypeError} when it can be no secret; the message does not show it
 */
export function keysOf(secret: string): SecretKeys {
  if (typeof secret !== 'string' || secret === '' || /\s/.test(secret)) {
    throw new TypeError('secrets: each must be text without white space; is the setting there?');
  }
  if (secret.startsWith(STANDARD_PREFIX)) {
    const bytes = bytesOfBase64(secret.slice(STANDARD_PREFIX.length));
    return { standard: bytes, didit: utf8(base64url(bytes)) };
  }
  const standard = BASE64URL_OF_32_BYTES.test(secret)
    ? bytesOfBase64(secret.replaceAll('-', '+').replaceAll('_', '/'))
    : null;
  return { standard, didit: utf8(secret) };
}

function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64(text);
  if (bytes === null || bytes.length < MIN_BYTES || bytes.length > MAX_BYTES) {
    throw new TypeError(`secrets: after whsec_ must come base64 of ${MIN_BYTES} to ${MAX_BYTES} bytes`);
  }
  return bytes;
}

/** The bytes of standard base64, or null when it is none. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** The bytes of a text. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
