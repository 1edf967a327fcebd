import { webcrypto } from 'node:crypto';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import type { KeyRing } from './key-ring.ts';

/** Why a payload was not taken. */
export type RefusalReason = 'not_encrypted' | 'unknown_key' | 'other_namespace' | 'altered';

/** A payload that was not taken, by the ids alone that are known of it. */
export interface PayloadRefusal {
  readonly reason: RefusalReason;
  /** The run that it was sent to, where Temporal's SDK says so. */
  readonly workflowId?: string;
}

/** How payloads are encrypted. */
export interface TemporalCodecOptions {
  /** The first key encrypts, all decrypt. */
  readonly keys: KeyRing;
  /** The Temporal namespace: payloads of another one are refused. */
  readonly namespace: string;
  /** Takes payloads that are not encrypted as they are: for the time of a change-over only. */
  readonly acceptPlain?: boolean;
  /** Told of each payload that is not taken; must not throw. */
  readonly onRefused?: (refusal: PayloadRefusal) => void;
}

/** A codec for Temporal's SDK, which never throws while it decodes: a thrown error would fail a workflow task for ever. */
export interface TemporalCodec extends PayloadCodec {
  /** Decrypts one payload, or says why not. */
  reveal(payload: Payload): Promise<{ readonly payload: Payload } | { readonly refused: RefusalReason }>;
}

/** `encoding` of what we encrypt: the name that Temporal's own samples and tools use. */
const ENCRYPTED = 'binary/encrypted';
const KEY_ID = 'encryption-key-id';
const NAMESPACE = 'encryption-namespace';
const METADATA = ['encoding', KEY_ID, NAMESPACE];

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;

/** Stands where a payload was refused: every converter reads it as `undefined`, which our code misses nowhere. */
const sentinel = (): Payload => ({ metadata: { encoding: Buffer.from('binary/null') } });

/**
 * Encrypts every payload with AES-256-GCM, null ones too. The key is derived (HKDF-SHA-256) from the ring's, and no code
 * can read it back. Authenticated are namespace, key id and encoding, which the metadata carries for a codec server.
 *
 * Data: nonce (12 random bytes), then sealed: length of the metadata (4 bytes), metadata as JSON in base64, data.
 */
export function createTemporalCodec(options: TemporalCodecOptions): TemporalCodec {
  const { keys, namespace, acceptPlain = false, onRefused } = options;
  const derived = new Map<string, Promise<webcrypto.CryptoKey>>();
  const keyOf = (kid: string): Promise<webcrypto.CryptoKey> | null => {
    const known = derived.get(kid);
    if (known !== undefined) return known;
    const root = keys.get(kid);
    if (root === undefined) return null;
    const key = deriveKey(root);
    derived.set(kid, key);
    return key;
  };

  const seal = async (payload: Payload): Promise<Payload> => {
    const kid = keys.activeKid;
    const key = await keyOf(kid);
    if (key === null) throw new Error('a ring holds the keys that it names');
    const iv = webcrypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const sealed = await webcrypto.subtle.encrypt(gcm(iv, namespace, kid), key, packed(payload));
    return {
      metadata: {
        encoding: Buffer.from(ENCRYPTED),
        [KEY_ID]: Buffer.from(kid),
        [NAMESPACE]: Buffer.from(namespace),
      },
      data: Buffer.concat([iv, new Uint8Array(sealed)]),
    };
  };

  const reveal: TemporalCodec['reveal'] = async (payload) => {
    const metadata = payload.metadata ?? {};
    if (text(metadata['encoding']) !== ENCRYPTED) return acceptPlain ? { payload } : { refused: 'not_encrypted' };
    // Whatever else it carried would not be authenticated.
    if (Object.keys(metadata).some((name) => !METADATA.includes(name))) return { refused: 'altered' };
    if (text(metadata[NAMESPACE]) !== text(Buffer.from(namespace))) return { refused: 'other_namespace' };
    const kid = text(metadata[KEY_ID]);
    const key = await keyOf(kid);
    if (key === null) return { refused: 'unknown_key' };
    const data = Buffer.from(payload.data ?? []);
    if (data.length < NONCE_BYTES + TAG_BYTES + LENGTH_BYTES) return { refused: 'altered' };
    try {
      const place = gcm(data.subarray(0, NONCE_BYTES), namespace, kid);
      const opened = await webcrypto.subtle.decrypt(place, key, data.subarray(NONCE_BYTES));
      return { payload: unpacked(Buffer.from(opened)) };
    } catch {
      return { refused: 'altered' };
    }
  };

  const take = async (payload: Payload, context?: SerializationContext): Promise<Payload> => {
    const revealed = await reveal(payload);
    if ('payload' in revealed) return revealed.payload;
    const workflowId = context?.workflowId;
    onRefused?.({ reason: revealed.refused, ...(workflowId !== undefined && { workflowId }) });
    return sentinel();
  };

  return {
    encode: (payloads) => Promise.all(payloads.map(seal)),
    decode: (payloads, context) => Promise.all(payloads.map((payload) => take(payload, context))),
    reveal,
  };
}

async function deriveKey(root: Uint8Array): Promise<webcrypto.CryptoKey> {
  const { subtle } = webcrypto;
  const base = await subtle.importKey('raw', Buffer.from(root), 'HKDF', false, ['deriveKey']);
  const info = Buffer.from('handoff temporal payloads v1');
  const how = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info };
  return subtle.deriveKey(how, base, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
}

function gcm(iv: Uint8Array, namespace: string, kid: string) {
  const additionalData = Buffer.from(JSON.stringify([namespace, kid, ENCRYPTED]));
  return { name: 'AES-GCM', iv, additionalData, tagLength: TAG_BYTES * 8 };
}

function packed({ metadata, data }: Payload): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  const head = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(head.length);
  return Buffer.concat([length, head, data ?? new Uint8Array(0)]);
}

function unpacked(bytes: Buffer): Payload {
  const start = LENGTH_BYTES + bytes.readUInt32BE(0);
  const head = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, start)) as Record<string, string>;
  const metadata = Object.entries(head).map(([name, value]) => [name, plainBytes(Buffer.from(value, 'base64'))]);
  return {
    metadata: Object.fromEntries(metadata) as NonNullable<Payload['metadata']>,
    data: plainBytes(bytes.subarray(start)),
  };
}

/** Converters want arrays of bytes, which buffers look like in all but their JSON. */
function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** One byte a character, so that no two byte strings read alike. */
function text(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString('latin1');
}
