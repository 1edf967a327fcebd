import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { JsonValue } from '../domain/json.ts';
import type { PayloadSealer, SealContext } from '../sharing/ports.ts';
import type { KeyRing } from './key-ring.ts';
import { PayloadUnreadable } from './payload-seal.ts';

/** What is encrypted under a key of the ring: secrets that others sign with, or verify us by. */
const SECRET_CATEGORIES: ReadonlySet<string> = new Set(['webhook_secret', 'ingest_secret']);

const VERSION = 0x01;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A sealer that also tells which bytes it would seal anew. */
export interface SecretSealer extends PayloadSealer {
  /** What bytes begin with that are sealed with the ring's active key. */
  readonly currentHeader: Buffer;
}

/**
 * Seals secrets with AES-256-GCM, version 0x01: version, length of the key id, key id, nonce (12 bytes), ciphertext, tag
 * (16 bytes). The row's place is authenticated with them, so that a secret copied into another row does not open.
 * Everything else goes to the sealer beside it.
 *
 * @param ring keys that keys are made from, the first for new secrets
 * @throws {Error} when the ring lacks a key that it names, so that no secret is ever stored without one
 */
export function createSecretSealer(ring: KeyRing, beside: PayloadSealer): SecretSealer {
  const keys = new Map(ring.kids.map((kid) => [kid, secretKeyOf(ring, kid)]));
  const activeKey = secretKeyOf(ring, ring.activeKid);
  const active = Buffer.from(ring.activeKid);
  const header = Buffer.concat([Buffer.of(VERSION, active.length), active]);

  return {
    currentHeader: header,

    sealPayload(context, value) {
      if (!SECRET_CATEGORIES.has(context.category)) return beside.sealPayload(context, value);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', activeKey, nonce).setAAD(placeOf(context));
      const body = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()]);
      return Buffer.concat([header, nonce, body, cipher.getAuthTag()]);
    },

    openPayload(context, sealed) {
      // Secrets of before there were keys still open: without them nothing is signed until a server has sealed them anew.
      if (!SECRET_CATEGORIES.has(context.category) || sealed[0] !== VERSION) return beside.openPayload(context, sealed);
      const start = 2 + (sealed[1] ?? 0);
      const kid = sealed.toString('latin1', 2, start);
      const key = keys.get(kid);
      if (key === undefined || sealed.length < start + NONCE_BYTES + TAG_BYTES) {
        const reason =
          key === undefined ? 'sealed with a key that KEY_ENCRYPTION_KEYS does not hold; add it' : 'cut off';
        throw new PayloadUnreadable('malformed', context, reason);
      }
      const nonce = sealed.subarray(start, start + NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(placeOf(context)).setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        const text = Buffer.concat([
          decipher.update(sealed.subarray(start + NONCE_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]);
        return JSON.parse(text.toString()) as JsonValue;
      } catch {
        throw new PayloadUnreadable('malformed', context, 'altered, or of another row; restore the row from a backup');
      }
    },
  };
}

/** A key for this use alone, so that the ring's keys can serve others. */
function secretKeyOf(ring: KeyRing, kid: string): Buffer {
  const key = ring.get(kid);
  if (key === undefined) throw new Error('a ring holds the keys that it names');
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), 'handoff secrets v1', 32));
}

function placeOf({ applicationId, sessionId, category, position }: SealContext): Buffer {
  return Buffer.from(JSON.stringify([applicationId, sessionId, category, position]));
}
