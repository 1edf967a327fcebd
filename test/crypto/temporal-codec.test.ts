import { randomBytes, webcrypto } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { describe, expect, test, vi } from 'vitest';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createTemporalCodec, type PayloadRefusal } from '../../src/crypto/temporal-codec.ts';

const key = () => randomBytes(32).toString('base64url');
const [OLD, NEW] = [`old:${key()}`, `new:${key()}`];
const context = { type: 'workflow', namespace: 'handoff', workflowId: 'run-1' } as const;

function codecOf(ring = OLD, more: { namespace?: string; acceptPlain?: boolean } = {}) {
  const refused: PayloadRefusal[] = [];
  const options = { keys: parseKeyRing(ring), namespace: 'handoff', ...more };
  return { codec: createTemporalCodec({ ...options, onRefused: (refusal) => refused.push(refusal) }), refused };
}

const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const valueOf = (payload: Payload | undefined): unknown => defaultPayloadConverter.fromPayload(payload as Payload);

async function encrypted(value: unknown, ring = OLD, namespace = 'handoff'): Promise<Payload> {
  const [payload] = await codecOf(ring, { namespace }).codec.encode([payloadOf(value)], context);
  return payload as Payload;
}

/** What a codec makes of one payload, and what it says of it. */
async function decode(payload: Payload, ring?: string, more?: { namespace?: string; acceptPlain?: boolean }) {
  const { codec, refused } = codecOf(ring, more);
  const decoded = await codec.decode([payload], context);
  expect(decoded).toHaveLength(1);
  return { value: valueOf(decoded[0]), refused: refused.map(({ reason }) => reason), all: refused };
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

describe('a payload', () => {
  test.each([[{ tokenId: 'canary' }], ['canary'], [17], [null], [undefined], [''], [new Uint8Array([1, 2, 3])]])(
    'that is %j is encrypted, and comes back as it was',
    async (value) => {
      const payload = await encrypted(value);
      expect(Buffer.from(payload.metadata?.['encoding'] ?? []).toString()).toBe('binary/encrypted');
      expect(Buffer.from(payload.data ?? []).includes('canary')).toBe(false);
      const [decoded] = await codecOf().codec.decode([payload]);
      expect(valueOf(decoded)).toEqual(value);
      expect(decoded?.metadata).toEqual(payloadOf(value).metadata);
    },
  );

  test('is never encrypted twice alike', async () => {
    const [one, two] = await codecOf().codec.encode([payloadOf(1), payloadOf(1)]);
    expect(one?.data).not.toEqual(two?.data);
  });

  test('is one of none or of many, in their order', async () => {
    const { codec } = codecOf();
    expect(await codec.decode(await codec.encode([]))).toEqual([]);
    const values = Array.from({ length: 50 }, (_, index) => index);
    expect((await codec.decode(await codec.encode(values.map(payloadOf)))).map(valueOf)).toEqual(values);
  });
});

describe('what is not taken becomes undefined, and never an error', () => {
  test('each byte of the data, flipped', async () => {
    const payload = await encrypted({ tokenId: 'x' });
    const data = payload.data ?? new Uint8Array();
    expect(data.length).toBeGreaterThan(40);
    for (let at = 0; at < data.length; at += 1) {
      const result = await decode({ ...payload, data: flipped(data, at, at % 8) });
      expect(result).toMatchObject({ value: undefined, refused: ['altered'] });
    }
  });

  test('each byte of the metadata, flipped, and of its names', async () => {
    const payload = await encrypted({ tokenId: 'x' });
    const reasons = new Set<string>();
    for (const [name, bytes] of Object.entries(payload.metadata ?? {})) {
      for (let at = 0; at < bytes.length; at += 1) {
        const metadata = { ...payload.metadata, [name]: flipped(bytes, at, at % 8) };
        const result = await decode({ ...payload, metadata });
        expect(result).toMatchObject({ value: undefined, refused: [expect.any(String)] });
        reasons.add(`${name}: ${result.refused[0]}`);
      }
      const { [name]: moved, ...rest } = payload.metadata ?? {};
      const renamed = { ...rest, [`${name}x`]: moved as Uint8Array };
      for (const metadata of [rest, renamed]) {
        expect(await decode({ ...payload, metadata })).toMatchObject({
          value: undefined,
          refused: [expect.any(String)],
        });
      }
    }
    expect([...reasons].sort()).toEqual([
      'encoding: not_encrypted',
      'encryption-key-id: unknown_key',
      'encryption-namespace: other_namespace',
    ]);
  });

  test('data that is cut, longer, empty or missing, and metadata that was added', async () => {
    const payload = await encrypted({ tokenId: 'x' });
    const data = Buffer.from(payload.data ?? []);
    const pieces = [data.subarray(0, -1), data.subarray(0, 20), Buffer.concat([data, Buffer.of(0)]), Buffer.alloc(0)];
    for (const piece of pieces)
      expect(await decode({ ...payload, data: piece })).toMatchObject({ refused: ['altered'] });
    expect(await decode({ metadata: payload.metadata ?? {} })).toMatchObject({ refused: ['altered'] });
    const metadata = { ...payload.metadata, messageType: Buffer.from('x') };
    expect(await decode({ ...payload, metadata })).toMatchObject({ value: undefined, refused: ['altered'] });
  });

  test.each<[string, Payload]>([
    ['plain JSON', payloadOf({ tokenId: 'x' })],
    ['null', payloadOf(undefined)],
    ['an unknown encoding', { metadata: { encoding: Buffer.from('binary/unknown') }, data: Buffer.from('?') }],
    ['no metadata', { data: Buffer.from('?') }],
    ['nothing', {}],
  ])('a payload that is not encrypted: %s', async (_name, payload) => {
    const { value, all } = await decode(payload);
    expect(value).toBeUndefined();
    expect(all).toEqual([{ reason: 'not_encrypted', workflowId: 'run-1' }]);
  });

  test('one of another namespace, of a key that is not there, and of another key by that name', async () => {
    const payload = await encrypted('x', OLD, 'elsewhere');
    expect(await decode(payload)).toMatchObject({ value: undefined, refused: ['other_namespace'] });
    // Told to be of ours, it is not.
    const metadata = { ...payload.metadata, 'encryption-namespace': Buffer.from('handoff') };
    expect(await decode({ ...payload, metadata })).toMatchObject({ refused: ['altered'] });
    expect(await decode(await encrypted('x'), NEW)).toMatchObject({ value: undefined, refused: ['unknown_key'] });
    expect(await decode(await encrypted('x'), `old:${key()}`)).toMatchObject({ refused: ['altered'] });
  });

  test('one among others leaves them alone', async () => {
    const { codec, refused } = codecOf();
    const decoded = await codec.decode([await encrypted(1), payloadOf(2), await encrypted(3)], context);
    expect(decoded.map(valueOf)).toEqual([1, undefined, 3]);
    expect(refused).toHaveLength(1);
  });
});

describe('keys', () => {
  test('rotate: the first encrypts, all decrypt', async () => {
    const both = `${NEW},${OLD}`;
    const before = await encrypted('before');
    const after = await encrypted('after', both);
    expect(Buffer.from(after.metadata?.['encryption-key-id'] ?? []).toString()).toBe('new');
    expect(await decode(before, both)).toMatchObject({ value: 'before', refused: [] });
    expect(await decode(after, both)).toMatchObject({ value: 'after', refused: [] });
    expect(await decode(after, OLD)).toMatchObject({ refused: ['unknown_key'] });
    // Known before it is used: the first step of a rotation.
    expect(await decode(after, `${OLD},${NEW}`)).toMatchObject({ value: 'after', refused: [] });
  });

  test('cannot be read back from where they are used', async () => {
    const spies = [vi.spyOn(webcrypto.subtle, 'importKey'), vi.spyOn(webcrypto.subtle, 'deriveKey')];
    await encrypted('x');
    const made = await Promise.all(
      spies.flatMap((spy) => spy.mock.results.map(({ value }) => value as Promise<unknown>)),
    );
    spies.forEach((spy) => spy.mockRestore());
    expect(made).toHaveLength(2);
    for (const one of made) {
      const made = one as webcrypto.CryptoKey;
      expect(made.extractable).toBe(false);
      await expect(webcrypto.subtle.exportKey('raw', made)).rejects.toThrow();
    }
  });
});

test('while a change-over lasts, plain payloads pass, and altered ones still do not', async () => {
  const plain = payloadOf({ tokenId: 'x' });
  expect(await decode(plain, OLD, { acceptPlain: true })).toMatchObject({ value: { tokenId: 'x' }, refused: [] });
  const payload = await encrypted('x');
  const data = flipped(payload.data ?? new Uint8Array(), 30, 0);
  expect(await decode({ ...payload, data }, OLD, { acceptPlain: true })).toMatchObject({ refused: ['altered'] });
});
