import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openMediaStore } from '../../src/media/open-media-store.ts';
import { MediaStoreUnavailable, type MediaStore } from '../../src/media/ports.ts';
import { receive } from '../support/loopback.ts';
import { startS3Server, type S3Server } from '../support/s3-server.ts';

const keyOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const folder = mkdtempSync(join(tmpdir(), 'handoff-media-'));
let s3: S3Server;
const stores = new Map<string, MediaStore>();

beforeAll(async () => {
  s3 = await startS3Server();
  stores.set('directory', openMediaStore({ kind: 'directory', folder }));
  stores.set('S3', openMediaStore({ kind: 's3', bucket: s3.bucket, prefix: 'brand/files', endpoint: s3.endpoint }));
}, 240_000);
afterAll(async () => {
  for (const store of stores.values()) await store.close();
  await s3.stop();
});

describe.each(['directory', 'S3'])('the %s store', (kind) => {
  const store = () => stores.get(kind) as MediaStore;

  it('gives back what was put, byte for byte', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.of(0), randomBytes(100_000)]) {
      await store().put(keyOf(bytes), bytes);
      expect(await store().get(keyOf(bytes))).toEqual(bytes);
    }
  });

  it('holds ten megabytes', async () => {
    const bytes = randomBytes(10 * 1024 * 1024);
    await store().put(keyOf(bytes), bytes);
    expect((await store().get(keyOf(bytes)))?.equals(bytes)).toBe(true);
  });

  it('takes the same object again, also from several at once', async () => {
    const bytes = randomBytes(1000);
    await Promise.all(Array.from({ length: 8 }, () => store().put(keyOf(bytes), bytes)));
    await store().put(keyOf(bytes), bytes);
    expect(await store().get(keyOf(bytes))).toEqual(bytes);
  });

  it('has no object that was never put', async () => {
    expect(await store().get(keyOf(randomBytes(8)))).toBeNull();
  });

  it('takes an object away, and is content when there is none', async () => {
    const bytes = randomBytes(10);
    await store().put(keyOf(bytes), bytes);
    await store().remove(keyOf(bytes));
    expect(await store().get(keyOf(bytes))).toBeNull();
    await store().remove(keyOf(bytes));
    await store().put(keyOf(bytes), bytes);
    expect(await store().get(keyOf(bytes))).toEqual(bytes);
  });

  it.each(['../../etc/passwd', '', 'ab', 'A'.repeat(64), `${'a'.repeat(63)}/`])(
    'takes no key such as %j',
    async (key) => {
      await expect(store().put(key, Buffer.of(1))).rejects.toThrow(TypeError);
      await expect(store().get(key)).rejects.toThrow(TypeError);
      await expect(store().remove(key)).rejects.toThrow(TypeError);
    },
  );
});

it('lies in folders of two digits each, below its root or prefix', async () => {
  const bytes = randomBytes(10);
  const key = keyOf(bytes);
  for (const store of stores.values()) await store.put(key, bytes);
  const path = `${key.slice(0, 2)}/${key.slice(2, 4)}/${key}`;
  expect(readdirSync(folder, { recursive: true })).toContain(path);
  expect(await s3.keys()).toContain(`brand/files/${path}`);
});

it('keeps nothing of a put that failed, and says that the store is not available', async () => {
  const blocked = mkdtempSync(join(tmpdir(), 'handoff-media-'));
  const bytes = randomBytes(10);
  const key = keyOf(bytes);
  const store = openMediaStore({ kind: 'directory', folder: blocked });
  // A directory where the file is to be: the last step of the put fails, whoever runs the test.
  mkdirSync(join(blocked, key.slice(0, 2), key.slice(2, 4), key), { recursive: true });
  writeFileSync(join(blocked, key.slice(0, 2), key.slice(2, 4), key, 'in-the-way'), '');
  await expect(store.put(key, bytes)).rejects.toThrow(MediaStoreUnavailable);
  expect(readdirSync(join(blocked, key.slice(0, 2), key.slice(2, 4)))).toEqual([key]);
  expect(readdirSync(join(blocked, '.drafts'))).toEqual([]);
});

it('takes away the drafts of puts that died an hour ago or earlier, and no other file', async () => {
  const root = mkdtempSync(join(tmpdir(), 'handoff-media-'));
  const store = openMediaStore({ kind: 'directory', folder: root });
  await store.tidy();
  const bytes = randomBytes(10);
  await store.put(keyOf(bytes), bytes);
  const [old, fresh] = [join(root, '.drafts', 'old'), join(root, '.drafts', 'fresh')];
  for (const path of [old, fresh]) writeFileSync(path, 'a half');
  const longAgo = Date.now() / 1000 - 3_601;
  utimesSync(old, longAgo, longAgo);
  const key = keyOf(bytes);
  utimesSync(join(root, key.slice(0, 2), key.slice(2, 4), key), longAgo, longAgo);
  await store.tidy();
  expect(readdirSync(join(root, '.drafts'))).toEqual(['fresh']);
  expect(await store.get(key)).toEqual(bytes);
});

it('an S3 that hangs has a removal given up well before whoever waits at its lock gives up', async () => {
  const hanging = await receive(() => {});
  const limits: number[] = [];
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    limits.push(milliseconds);
    return timeout(50);
  });
  const store = openMediaStore({ kind: 's3', bucket: 'b', prefix: '', endpoint: new URL(hanging.url).origin });
  try {
    await expect(store.remove(keyOf(randomBytes(3)))).rejects.toThrow(MediaStoreUnavailable);
    expect(Math.max(...limits)).toBeLessThanOrEqual(10_000);
  } finally {
    spy.mockRestore();
    await store.close();
    await hanging.close();
  }
});

it('an S3 without the bucket, or that does not answer, is not available; no message names an object', async () => {
  const key = keyOf(randomBytes(3));
  for (const config of [
    { bucket: 'no-such-bucket', endpoint: s3.endpoint },
    { bucket: s3.bucket, endpoint: 'http://127.0.0.1:9' },
  ]) {
    const store = openMediaStore({ kind: 's3', prefix: '', ...config });
    for (const call of [() => store.put(key, Buffer.of(1)), () => store.get(key)]) {
      const error: unknown = await call().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(MediaStoreUnavailable);
      expect((error as Error).message).not.toContain(key.slice(0, 8));
    }
    await store.close();
  }
});
