import { randomBytes, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer, PayloadUnreadable } from '../../src/crypto/payload-seal.ts';
import type { JsonValue } from '../../src/domain/json.ts';
import type { DataKey, SealContext } from '../../src/sharing/ports.ts';

const ring = (...kids: string[]) =>
  parseKeyRing(kids.map((kid) => `${kid}:${Buffer.alloc(32, kid).toString('base64url')}`).join(','));
const sealer = createSealer({ content: ring('c1'), secrets: ring('s1') });
const SECRET = 'Quixote';

const context: SealContext = {
  applicationId: randomUUID(),
  sessionId: randomUUID(),
  category: 'id_verifications',
  position: 0,
};
const key = sealer.newDataKey(context);
const ofApplication: SealContext = { ...context, category: 'event' };
const ofSecret: SealContext = { ...context, category: 'webhook_secret' };

/** What SQL's `with_key` hands out. */
function withKey({ wrapped }: DataKey, payload: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(wrapped.length);
  return Buffer.concat([Buffer.of(3), length, wrapped, payload]);
}

/** The error that opening ends with; it may name the row, never its content. */
function refusalOf(open: () => unknown): PayloadUnreadable {
  try {
    open();
  } catch (error) {
    expect(String(error)).not.toContain(SECRET);
    if (error instanceof PayloadUnreadable) return error;
    throw error;
  }
  throw new Error('it was opened');
}

describe('a session’s content', () => {
  test('opens with its key, whatever it is, and tells nothing without it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ minLength: 4 }), (value, text) => {
        const sealed = sealer.sealPayload(context, [value as JsonValue, text], key);
        expect(sealer.openPayload(context, withKey(key, sealed))).toEqual(
          JSON.parse(JSON.stringify([value, text])) as unknown,
        );
        expect(sealed.includes(text)).toBe(false);
        expect(refusalOf(() => sealer.openPayload(context, sealed)).code).toBe('unknown_key');
      }),
    );
  });

  test('is sealed anew each time', () => {
    const [one, other] = [sealer.sealPayload(context, SECRET, key), sealer.sealPayload(context, SECRET, key)];
    expect(one.equals(other)).toBe(false);
  });

  test('opens in a clone as it is, with the key wrapped for the clone’s application, over every hop', () => {
    const sealed = sealer.sealPayload(context, SECRET, key);
    let at = context.applicationId;
    let wrapped = key;
    for (let hop = 0; hop < 3; hop += 1) {
      const to = randomUUID();
      wrapped = sealer.wrapFor(wrapped, at, to);
      at = to;
      expect(wrapped.keyId).toBe(context.sessionId);
      const inClone = { ...context, applicationId: to, sessionId: randomUUID() };
      expect(sealer.openPayload(inClone, withKey(wrapped, sealed))).toBe(SECRET);
    }
  });

  test.each<[string, Partial<SealContext>]>([
    ['another category', { category: 'nfc_verifications' }],
    ['what stays home', { category: 'home:id_verifications' }],
    ['another position', { position: 1 }],
    ['another application', { applicationId: randomUUID() }],
  ])('does not open in %s', (_where, moved) => {
    const sealed = withKey(key, sealer.sealPayload(context, SECRET, key));
    expect(refusalOf(() => sealer.openPayload({ ...context, ...moved }, sealed)).code).toBe('malformed');
  });

  test('does not open with the key of another session of the same application', () => {
    const sessionId = randomUUID();
    const other = sealer.newDataKey({ ...context, sessionId });
    const sealed = sealer.sealPayload(context, SECRET, key);
    expect(refusalOf(() => sealer.openPayload({ ...context, sessionId }, withKey(other, sealed))).code).toBe(
      'malformed',
    );
  });

  test('does not open with its key wrapped for another application, nor is it wrapped on from there', () => {
    const partner = randomUUID();
    const wrapped = sealer.wrapFor(key, context.applicationId, partner);
    const sealed = sealer.sealPayload(context, SECRET, key);
    refusalOf(() => sealer.openPayload(context, withKey(wrapped, sealed)));
    refusalOf(() => sealer.wrapFor(wrapped, context.applicationId, partner));
    refusalOf(() => sealer.wrapFor({ ...wrapped, keyId: randomUUID() }, partner, context.applicationId));
    refusalOf(() => sealer.sealPayload(context, SECRET, wrapped));
  });

  test('is unreadable with any byte changed or cut off, its key’s bytes included', () => {
    const sealed = withKey(key, sealer.sealPayload(context, SECRET, key));
    for (let at = 0; at < sealed.length; at += 1) {
      const altered = Buffer.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      refusalOf(() => sealer.openPayload(context, altered));
      refusalOf(() => sealer.openPayload(context, sealed.subarray(0, at)));
    }
    expect(sealer.openPayload(context, sealed)).toBe(SECRET);
  });

  test('needs the key that wraps its own, which a newer one replaces for new sessions alone', () => {
    const rotated = createSealer({ content: ring('c2', 'c1'), secrets: null });
    const removed = createSealer({ content: ring('c2'), secrets: null });
    const sealed = withKey(key, sealer.sealPayload(context, SECRET, key));
    expect(rotated.openPayload(context, sealed)).toBe(SECRET);
    const refusal = refusalOf(() => removed.openPayload(context, sealed));
    expect(refusal.code).toBe('unknown_key');
    expect(refusal.message).toMatch(/^payload id_verifications\[0\] of [0-9a-f-]{36}: .*CONTENT_ENCRYPTION_KEYS/);
    expect(rotated.newDataKey(context).wrapped.subarray(0, 4)).toEqual(Buffer.from('\u0004\u0002c2'));
    expect(rotated.wrapFor(key, context.applicationId, randomUUID()).wrapped.subarray(0, 4)).toEqual(
      rotated.currentHeader('data_key'),
    );
  });

  test('of a session is not what was never sealed so', () => {
    const plain = Buffer.from(`\u0000{"name":"${SECRET}"}`);
    for (const bytes of [plain, withKey(key, plain), withKey(key, sealer.sealPayload(context, SECRET))]) {
      expect(refusalOf(() => sealer.openPayload(context, bytes)).code).toBe('unknown_version');
    }
    expect(refusalOf(() => sealer.openPayload(context, Buffer.alloc(0))).code).toBe('unknown_version');
    const garbled = sealer.sealBytes(context, Buffer.from(`{"name":"${SECRET}`), key);
    expect(refusalOf(() => sealer.openPayload(context, withKey(key, garbled))).message).toMatch(/not JSON/);
  });

  test('may be bytes that are no JSON, which also open with the key apart', () => {
    const bytes = randomBytes(300_000);
    const sealed = sealer.sealBytes(context, bytes, key);
    expect(sealer.openBytes(context, withKey(key, sealed)).equals(bytes)).toBe(true);
    expect(sealer.openBytes(context, sealed, key).equals(bytes)).toBe(true);
    refusalOf(() => sealer.openBytes(context, sealed, { ...key, wrapped: Buffer.alloc(0) }));
  });
});

describe('what belongs to an application, or is a secret', () => {
  test.each([ofApplication, ofSecret])('opens in its own row alone ($category)', (own) => {
    const sealed = sealer.sealPayload(own, { text: SECRET });
    expect(sealer.openPayload(own, sealed)).toEqual({ text: SECRET });
    const moves = [
      { applicationId: randomUUID() },
      { sessionId: randomUUID() },
      { category: 'ingest_secret' },
      { position: 1 },
    ];
    for (const moved of moves) refusalOf(() => sealer.openPayload({ ...own, ...moved }, sealed));
    for (let at = 0; at < sealed.length; at += 1) {
      const altered = Buffer.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      refusalOf(() => sealer.openPayload(own, altered));
    }
  });

  test('is kept apart: secrets by a ring of their own, which not every process has', () => {
    const worker = createSealer({ content: ring('c1'), secrets: null });
    expect(worker.openPayload(ofApplication, sealer.sealPayload(ofApplication, SECRET))).toBe(SECRET);
    expect(() => worker.openPayload(ofSecret, sealer.sealPayload(ofSecret, SECRET))).toThrow(/no keys of secrets/);
    expect(() => worker.sealPayload(ofSecret, SECRET)).toThrow(/no keys of secrets/);
    expect(() => worker.currentHeader('secret')).toThrow(/no keys of secrets/);
    const onlySecrets = createSealer({ content: ring('c2'), secrets: ring('s1') });
    expect(
      refusalOf(() => onlySecrets.openPayload(ofApplication, sealer.sealPayload(ofApplication, SECRET))).code,
    ).toBe('unknown_key');
    expect(onlySecrets.openPayload(ofSecret, sealer.sealPayload(ofSecret, SECRET))).toBe(SECRET);
  });

  test('begins with what says which key it is sealed with', () => {
    for (const [kind, own] of [
      ['application', ofApplication],
      ['secret', ofSecret],
    ] as const) {
      const header = sealer.currentHeader(kind);
      expect(sealer.sealPayload(own, SECRET).subarray(0, header.length)).toEqual(header);
    }
    expect(key.wrapped.subarray(0, sealer.currentHeader('data_key').length)).toEqual(sealer.currentHeader('data_key'));
  });
});
