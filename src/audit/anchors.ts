import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../crypto/canonical-json.ts';

/** What an anchor says: at this moment the chain of this application had this hash at this position. */
export interface AnchorFacts {
  readonly application_id: string;
  readonly position: number;
  /** Hexadecimal. */
  readonly chain_sha256: string;
  /** ISO 8601, by the database's clock. */
  readonly anchored_at: string;
}

/** An anchor as it is kept: one line of JSON. */
export interface Anchor extends AnchorFacts {
  /** The key that signed: {@link keyIdOf} its public key. */
  readonly key_id: string;
  /** Ed25519 over the canonical JSON of all other members, with `format`; base64url. */
  readonly signature: string;
}

/** Signs anchors with one key. */
export interface AnchorSigner {
  readonly keyId: string;
  /** 32 bytes in base64url. */
  readonly publicKey: string;
  sign(facts: AnchorFacts): Anchor;
}

/** `unknown_key`: signed, or said to be, with a key that was not given. */
export type AnchorVerdict = 'genuine' | 'unknown_key' | 'forged';

const FORMAT = 'handoff audit anchor v1';
/** DER of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
const RAW_BYTES = 32;

/** An anchor as it is kept; other members are left out. */
export const anchorShape = z.object({
  application_id: z.uuid(),
  position: z.int().positive(),
  chain_sha256: z.string().regex(/^[0-9a-f]{64}$/),
  anchored_at: z.string().min(1),
  key_id: z.string().min(1),
  signature: z.string().min(1),
});

/**
 * Reads an Ed25519 private key: a seed of 32 bytes, or PKCS8 as DER.
 *
 * @returns null when it is neither
 */
export function readSigningKey(bytes: Uint8Array): KeyObject | null {
  const der = bytes.length === RAW_BYTES ? Buffer.concat([PKCS8_HEAD, bytes]) : Buffer.from(bytes);
  try {
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}

/** Whether these bytes can be a public key, as {@link AnchorSigner} gives it. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return bytes.length === RAW_BYTES;
}

export function createAnchorSigner(key: KeyObject): AnchorSigner {
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD.length);
  const keyId = keyIdOf(publicKey);
  return {
    keyId,
    publicKey: publicKey.toString('base64url'),
    sign: (facts) => {
      const unsigned = { ...facts, key_id: keyId };
      return { ...unsigned, signature: signBytes(null, signedText(unsigned), key).toString('base64url') };
    },
  };
}

/**
 * Tells genuine anchors from others.
 *
 * @param publicKeys each 32 bytes: those that signed anchors at any time
 */
export function createAnchorJudge(publicKeys: readonly Uint8Array[]): (anchor: Anchor) => AnchorVerdict {
  const keys = new Map(
    publicKeys.map((raw) => [
      keyIdOf(raw),
      createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: 'der', type: 'spki' }),
    ]),
  );
  return ({ signature, ...unsigned }) => {
    const key = keys.get(unsigned.key_id);
    if (key === undefined) return 'unknown_key';
    const genuine = verifyBytes(null, signedText(unsigned), key, Buffer.from(signature, 'base64url'));
    return genuine ? 'genuine' : 'forged';
  };
}

/** The first 16 hexadecimal digits of a public key's sha256. */
export function keyIdOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 16);
}

/** Reads an anchor's line: `half_line` is no JSON, `unsigned` is no anchor, or none that anybody signed. */
export function parseAnchor(line: string): Anchor | 'half_line' | 'unsigned' {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'half_line';
  }
  return anchorShape.safeParse(value).data ?? 'unsigned';
}

/** The line that an anchor is kept as, with its end of line. */
export function anchorText(anchor: Anchor): string {
  return `${canonicalJson({ ...anchor })}\n`;
}

function signedText(unsigned: Omit<Anchor, 'signature'>): Buffer {
  const { application_id, position, chain_sha256, anchored_at, key_id } = unsigned;
  return Buffer.from(canonicalJson({ format: FORMAT, application_id, position, chain_sha256, anchored_at, key_id }));
}
