import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Environment } from '../sharing/ports.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KEY_ID_CHARACTERS = 16;
// 32 bytes need 43 digits of base 62, a CRC-32 needs 6.
const SECRET_CHARACTERS = 43;
const CHECKSUM_CHARACTERS = 6;
const KEY = new RegExp(
  `^hnd_(?:sandbox|live)_([0-9A-Za-z]{${KEY_ID_CHARACTERS}})_[0-9A-Za-z]{${SECRET_CHARACTERS}}([0-9A-Za-z]{${CHECKSUM_CHARACTERS}})$`,
);

/** A new key: the text is shown once and never stored. */
export interface NewApiKey {
  readonly keyId: string;
  /** What the caller sends as `x-api-key`. */
  readonly text: string;
  readonly sha256: Buffer;
  readonly lastFour: string;
}

/** Makes a key: `hnd_<environment>_<key id>_<32 random bytes><checksum>`, in base 62 (`security.md` row 7). */
export function newApiKey(environment: Environment): NewApiKey {
  const keyId = randomText(11, KEY_ID_CHARACTERS);
  const body = `hnd_${environment}_${keyId}_${randomText(32, SECRET_CHARACTERS)}`;
  const text = body + checksum(body);
  return { keyId, text, sha256: apiKeyDigest(text), lastFour: text.slice(-4) };
}

/** The key id in a key's text, or null when the text is no key: a typo fails its checksum without a look-up. */
export function readKeyId(text: string): string | null {
  const [, keyId, sum] = KEY.exec(text) ?? [];
  if (keyId === undefined || sum !== checksum(text.slice(0, -CHECKSUM_CHARACTERS))) return null;
  return keyId;
}

/** What is stored of a key: SHA-256 of its whole text, which has 256 random bits and so needs no slow hash. */
export function apiKeyDigest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), CHECKSUM_CHARACTERS);
}

function randomText(bytes: number, characters: number): string {
  return base62(BigInt(`0x${randomBytes(bytes).toString('hex')}`), characters);
}

function base62(value: bigint, characters: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = `${ALPHABET[Number(rest % 62n)] ?? ''}${text}`;
  return text.padStart(characters, '0');
}
