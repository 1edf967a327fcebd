import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import type { JsonValue } from '../domain/json.ts';
import type { ContentSealer, DataKey, SealContext } from '../sharing/ports.ts';
import { open, seal } from './aead.ts';
import type { KeyRing } from './key-ring.ts';

/** Stored bytes can't be opened; the message names the row and never the content. */
export class PayloadUnreadable extends Error {
  override readonly name = 'PayloadUnreadable';
  readonly code: 'unknown_version' | 'unknown_key' | 'malformed';

  constructor(code: PayloadUnreadable['code'], context: SealContext, reason: string) {
    super(`payload ${context.category}[${context.position}] of ${context.sessionId}: ${reason}`);
    this.code = code;
  }
}

/** What a process seals and opens with. */
export interface SealingKeys {
  /** Wraps the data keys of sessions, and seals what belongs to an application but to no session. */
  readonly content: KeyRing;
  /** Seals webhook and ingestion secrets; null in a process that has no business with them. */
  readonly secrets: KeyRing | null;
}

/** Everything that payloads are sealed and opened with. */
export interface Sealer extends ContentSealer {
  /** What bytes begin with that are sealed with the active key of their ring: the rotation looks for all others. */
  currentHeader(kind: 'application' | 'secret' | 'data_key'): Buffer;
}

/** Secrets that others sign with, or verify us by: sealed with the ring of their own. */
const SECRET_CATEGORIES: ReadonlySet<string> = new Set(['webhook_secret', 'ingest_secret', 'signing_key']);

/** First byte of what is stored. 0x00 was plain, and is opened no more. */
const SEALED_BY_RING = 0x01;
const SEALED_BY_DATA_KEY = 0x02;
/** Never stored: a payload with its data key before it, as SQL's `with_key` hands them out together. */
const WITH_KEY = 0x03;
const WRAPPED_DATA_KEY = 0x04;

const KEY_ID_BYTES = 16;
const DATA_KEY_BYTES = 32;
const MAX_DERIVED_KEYS = 10_000;

/**
 * Seals everything at rest with AES-256-GCM.
 *
 * - Content of a session: version 0x02, key id (16 bytes), sealed bytes. The key is the session's data key; authenticated
 *   are key id, category and position, so that a clone copies the bytes as they are (security.md 9).
 * - A data key: version 0x04, length and id of the key that wraps it, sealed key. Wrapped for one application: by a key
 *   derived for it, with application and key id authenticated.
 * - All else, that belongs to an application or is a secret: version 0x01, length and id of the ring's key, sealed bytes,
 *   by a key derived for that application or use; authenticated is the row's place.
 */
export function createSealer({ content, secrets }: SealingKeys): Sealer {
  const derived = new Map<string, KeyObject>();
  const derive = (ring: KeyRing, kid: string, info: string): KeyObject | null => {
    const name = `${info} ${kid}`;
    const known = derived.get(name);
    if (known !== undefined) return known;
    const root = ring.get(kid);
    if (root === undefined) return null;
    const key = createSecretKey(Buffer.from(hkdfSync('sha256', root, Buffer.alloc(0), info, 32)));
    if (derived.size >= MAX_DERIVED_KEYS) derived.clear();
    derived.set(name, key);
    return key;
  };
  const ringOf = (context: SealContext): { ring: KeyRing; info: string } => {
    if (!SECRET_CATEGORIES.has(context.category)) {
      return { ring: content, info: `handoff application v1 ${context.applicationId}` };
    }
    if (secrets === null) throw new Error('this process has no keys of secrets');
    return { ring: secrets, info: 'handoff secrets v1' };
  };
  const wrappingKey = (kid: string, applicationId: string): KeyObject | null =>
    derive(content, kid, `handoff data keys v1 ${applicationId}`);

  const wrap = (dataKey: Uint8Array, keyId: string, applicationId: string): Buffer => {
    const key = wrappingKey(content.activeKid, applicationId);
    if (key === null) throw new Error('a ring holds the keys that it names');
    const header = headerOf(WRAPPED_DATA_KEY, content.activeKid);
    return Buffer.concat([header, seal(key, placeOf([applicationId, keyId]), dataKey)]);
  };
  // A session's parts come one after the other.
  let last: (DataKey & { readonly applicationId: string; readonly dataKey: KeyObject }) | null = null;
  const unwrap = ({ keyId, wrapped }: DataKey, context: SealContext): KeyObject => {
    const { applicationId } = context;
    if (last?.keyId === keyId && last.applicationId === applicationId && last.wrapped.equals(wrapped)) {
      return last.dataKey;
    }
    if (wrapped[0] !== WRAPPED_DATA_KEY) throw unreadable('unknown_version', context, 'its data key is none of ours');
    const { kid, rest } = splitHeader(wrapped);
    const key = wrappingKey(kid, applicationId);
    if (key === null) throw unknownKey(context, 'CONTENT_ENCRYPTION_KEYS');
    const bytes = open(key, placeOf([applicationId, keyId]), rest);
    if (bytes === null) throw unreadable('malformed', context, 'its data key was altered, or wrapped for another');
    const dataKey = createSecretKey(bytes);
    // Its own bytes: the caller's lie in the buffer of a row.
    last = { keyId, applicationId, wrapped: Buffer.from(wrapped), dataKey };
    return dataKey;
  };
  const openContent = (context: SealContext, stored: Buffer, wrapped: Buffer): Buffer => {
    if (stored[0] !== SEALED_BY_DATA_KEY || stored.length < 1 + KEY_ID_BYTES) {
      throw unreadable('unknown_version', context, 'not sealed with a data key');
    }
    const keyId = uuidOf(stored.subarray(1, 1 + KEY_ID_BYTES));
    const dataKey = unwrap({ keyId, wrapped }, context);
    return open(dataKey, placeOfContent(keyId, context), stored.subarray(1 + KEY_ID_BYTES)) ?? altered(context);
  };
  const openBytes = (context: SealContext, sealed: Buffer, key?: DataKey): Buffer => {
    switch (sealed[0]) {
      case SEALED_BY_RING: {
        const { ring, info } = ringOf(context);
        const { kid, rest } = splitHeader(sealed);
        const ringKey = derive(ring, kid, info);
        if (ringKey === null) {
          throw unknownKey(context, ring === content ? 'CONTENT_ENCRYPTION_KEYS' : 'KEY_ENCRYPTION_KEYS');
        }
        return open(ringKey, placeOfRow(context), rest) ?? altered(context);
      }
      case WITH_KEY: {
        const { wrapped, stored } = splitWithKey(sealed);
        return openContent(context, stored, wrapped);
      }
      case SEALED_BY_DATA_KEY:
        if (key !== undefined) return openContent(context, sealed, key.wrapped);
        throw unreadable(
          'unknown_key',
          context,
          'its data key is gone: the session was erased, or read without its key',
        );
      case undefined:
        throw unreadable('unknown_version', context, 'empty; restore the row from a backup');
      default: {
        const version = `0x${sealed[0].toString(16).padStart(2, '0')}`;
        throw unreadable('unknown_version', context, `sealed by version ${version}, which this release does not open`);
      }
    }
  };
  const sealBytes = (context: SealContext, bytes: Uint8Array, key?: DataKey): Buffer => {
    if (key !== undefined) {
      const sealed = seal(unwrap(key, context), placeOfContent(key.keyId, context), bytes);
      return Buffer.concat([Buffer.of(SEALED_BY_DATA_KEY), bytesOf(key.keyId), sealed]);
    }
    const { ring, info } = ringOf(context);
    const ringKey = derive(ring, ring.activeKid, info);
    if (ringKey === null) throw new Error('a ring holds the keys that it names');
    return Buffer.concat([headerOf(SEALED_BY_RING, ring.activeKid), seal(ringKey, placeOfRow(context), bytes)]);
  };

  return {
    currentHeader: (kind) => {
      if (kind === 'data_key') return headerOf(WRAPPED_DATA_KEY, content.activeKid);
      const ring = kind === 'secret' ? secrets : content;
      if (ring === null) throw new Error('this process has no keys of secrets');
      return headerOf(SEALED_BY_RING, ring.activeKid);
    },
    sealPayload: (context, value, key) => sealBytes(context, Buffer.from(JSON.stringify(value)), key),
    openPayload(context, sealed) {
      const text = openBytes(context, sealed).toString();
      try {
        return JSON.parse(text) as JsonValue;
      } catch {
        // The parser's own message quotes the content.
        throw unreadable('malformed', context, 'not JSON; restore the row from a backup');
      }
    },
    sealBytes,
    openBytes,
    newDataKey: ({ applicationId, sessionId }) => ({
      keyId: sessionId,
      wrapped: wrap(randomBytes(DATA_KEY_BYTES), sessionId, applicationId),
    }),
    wrapFor: (key, from, to) => {
      const context = { applicationId: from, sessionId: key.keyId, category: 'data_key', position: 0 };
      return { keyId: key.keyId, wrapped: wrap(unwrap(key, context).export(), key.keyId, to) };
    },
  };
}

function headerOf(version: number, kid: string): Buffer {
  const id = Buffer.from(kid);
  return Buffer.concat([Buffer.of(version, id.length), id]);
}

function splitHeader(sealed: Buffer): { kid: string; rest: Buffer } {
  const start = 2 + (sealed[1] ?? 0);
  return { kid: sealed.toString('latin1', 2, start), rest: sealed.subarray(start) };
}

/** 0x03, length of the wrapped key (2 bytes), wrapped key, then the payload as it is stored. */
function splitWithKey(bytes: Buffer): { wrapped: Buffer; stored: Buffer } {
  const start = 3 + (bytes.length < 3 ? 0 : bytes.readUInt16BE(1));
  return { wrapped: bytes.subarray(3, start), stored: bytes.subarray(start) };
}

function placeOf(parts: readonly (string | number)[]): Buffer {
  return Buffer.from(JSON.stringify(parts));
}

function placeOfRow({ applicationId, sessionId, category, position }: SealContext): Buffer {
  return placeOf([applicationId, sessionId, category, position]);
}

function placeOfContent(keyId: string, { category, position }: SealContext): Buffer {
  return placeOf([keyId, category, position]);
}

function bytesOf(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function unreadable(code: PayloadUnreadable['code'], context: SealContext, reason: string): PayloadUnreadable {
  return new PayloadUnreadable(code, context, reason);
}

function unknownKey(context: SealContext, setting: string): PayloadUnreadable {
  return unreadable('unknown_key', context, `sealed with a key that ${setting} does not hold; add it`);
}

function altered(context: SealContext): never {
  throw unreadable('malformed', context, 'altered, or of another row; restore the row from a backup');
}
