import { describe, expect, test } from 'vitest';
import { parseKeyRing, type KeyRing } from '../../src/crypto/key-ring.ts';
import { plainSealer } from '../../src/crypto/payload-seal.ts';
import { createSecretSealer, type SecretSealer } from '../../src/crypto/secret-seal.ts';

const key = (byte: number) => Buffer.alloc(32, byte).toString('base64url');
const sealer = createSecretSealer(parseKeyRing(`new:${key(1)},old:${key(2)}`), plainSealer);
const before = createSecretSealer(parseKeyRing(`old:${key(2)}`), plainSealer);
const context = { applicationId: 'app', sessionId: 'destination', category: 'webhook_secret', position: 0 };
const SECRET = 'c2VjcmV0IGJ5dGVzIG9mIGEgZGVzdGluYXRpb24=';

describe('a sealed secret', () => {
  test('opens again, is different each time and shows nothing of itself', () => {
    const [one, two] = [sealer.sealPayload(context, SECRET), sealer.sealPayload(context, SECRET)];
    expect(sealer.openPayload(context, one)).toBe(SECRET);
    expect(one.equals(two)).toBe(false);
    expect(one.toString('latin1')).not.toContain(SECRET.slice(0, 8));
  });

  test('opens with a key that is no longer the active one, and is then not current', () => {
    const sealed = before.sealPayload(context, SECRET);
    expect(sealer.openPayload(context, sealed)).toBe(SECRET);
    const isCurrent = ({ currentHeader }: SecretSealer) =>
      sealed.subarray(0, currentHeader.length).equals(currentHeader);
    expect([before, sealer].map(isCurrent)).toEqual([true, false]);
  });

  test('opens from before there were keys', () => {
    const plain = plainSealer.sealPayload(context, SECRET);
    expect(sealer.openPayload(context, plain)).toBe(SECRET);
  });

  test.each([
    ['of another destination', { ...context, sessionId: 'other' }],
    ['of another application', { ...context, applicationId: 'other' }],
    ['of another use', { ...context, category: 'ingest_secret' }],
  ])('does not open %s', (_what, other) => {
    expect(() => sealer.openPayload(other, sealer.sealPayload(context, SECRET))).toThrow(/altered, or of another row/);
  });

  test('does not open with any one byte changed or left out', () => {
    const sealed = sealer.sealPayload(context, SECRET);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      expect(() => sealer.openPayload(context, changed), `byte ${at}`).toThrow();
      expect(() => sealer.openPayload(context, sealed.subarray(0, at)), `${at} bytes`).toThrow();
    }
  });

  test('names the setting that lacks its key', () => {
    const sealed = sealer.sealPayload(context, SECRET);
    expect(() => before.openPayload(context, sealed)).toThrow(/KEY_ENCRYPTION_KEYS does not hold; add it/);
  });
});

test('a ring without its active key makes no sealer: nothing would be encrypted', () => {
  const ring: KeyRing = { activeKid: 'lost', kids: [], get: () => undefined };
  expect(() => createSecretSealer(ring, plainSealer)).toThrow('a ring holds the keys that it names');
});

test('what is no secret goes to the sealer beside it', () => {
  const check = { ...context, category: 'id_verifications' };
  expect(sealer.sealPayload(check, { a: 1 })).toEqual(plainSealer.sealPayload(check, { a: 1 }));
});
