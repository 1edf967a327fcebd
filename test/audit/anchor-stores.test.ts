import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAnchorJudge, createAnchorSigner, readSigningKey, type Anchor } from '../../src/audit/anchors.ts';
import { collectAnchors } from '../../src/audit/collect-anchors.ts';
import { openAnchorStore } from '../../src/audit/open-anchor-store.ts';
import { AnchorStoreUnavailable, type AnchorLine, type AnchorStore } from '../../src/audit/ports.ts';
import { publicKeyOf, testSigner } from '../support/audit-lab.ts';
import { startS3Server, type S3Server } from '../support/s3-server.ts';

const signer = testSigner();
const keys = [publicKeyOf(signer)];
const folder = join(mkdtempSync(join(tmpdir(), 'handoff-anchors-')), 'made', 'when needed');
const stores = new Map<string, AnchorStore>();
let s3: S3Server;

beforeAll(async () => {
  s3 = await startS3Server();
  stores.set('directory', openAnchorStore({ kind: 'directory', folder }));
  stores.set('S3', openAnchorStore({ kind: 's3', bucket: s3.bucket, prefix: 'audit', endpoint: s3.endpoint }));
}, 240_000);
afterAll(async () => {
  for (const store of stores.values()) await store.close();
  await s3.stop();
});

const anchorAt = (position: number, day = '2026-11-05', applicationId = randomUUID()): Anchor =>
  signer.sign({
    application_id: applicationId,
    position,
    chain_sha256: 'ab'.repeat(32),
    anchored_at: `${day}T10:00:00.000000Z`,
  });
async function all(store: AnchorStore): Promise<AnchorLine[]> {
  const lines = [];
  for await (const line of store.lines()) lines.push(line);
  return lines;
}
const parsed = async (store: AnchorStore) => (await all(store)).map(({ text }) => JSON.parse(text) as Anchor);

describe.each(['directory', 'S3'])('the %s store', (kind) => {
  const store = () => stores.get(kind) as AnchorStore;

  it('is empty before the first anchor', async () => {
    expect(await all(store())).toEqual([]);
  });

  it('keeps what was appended, by day, also by several at once', async () => {
    const days = ['2026-11-05', '2026-11-06'];
    const batches = days.map((day) => [1, 2, 3].map((position) => anchorAt(position, day)));
    await store().append(batches[0] ?? []);
    await Promise.all((batches[1] ?? []).map((anchor) => store().append([anchor])));
    const kept = await parsed(store());
    const bySignature = (a: Anchor, b: Anchor) => (a.signature < b.signature ? -1 : 1);
    expect(kept.toSorted(bySignature)).toEqual(batches.flat().toSorted(bySignature));
    expect(kept.map(({ anchored_at }) => anchored_at.slice(0, 10))).toEqual(days.flatMap((day) => [day, day, day]));
    const { byApplication, findings, halfLines } = await collectAnchors(store().lines(), keys);
    expect([byApplication.size, findings, halfLines]).toEqual([6, [], 0]);
  });
});

describe('the directory store', () => {
  const place = mkdtempSync(join(tmpdir(), 'handoff-anchors-'));
  const store = openAnchorStore({ kind: 'directory', folder: place });
  const file = join(place, 'anchors-2026-11-05.ndjson');

  it('ends the half line of a write that died, and counts it', async () => {
    const [first, second] = [anchorAt(1), anchorAt(2)];
    await store.append([first]);
    appendFileSync(file, '{"application_id":"0190');
    await store.append([second]);
    const { byApplication, findings, halfLines } = await collectAnchors(store.lines(), keys);
    expect([...byApplication.values()].flat()).toEqual([first, second]);
    expect([findings, halfLines]).toEqual([[], 1]);
  });

  it('leaves other files alone', async () => {
    writeFileSync(join(place, 'README'), 'not an anchor');
    expect((await all(store)).map(({ place: name }) => name.split(':')[0])).not.toContain('README');
    expect(readdirSync(place)).toContain('README');
  });

  it('is away when its folder cannot be', async () => {
    const blocked = openAnchorStore({ kind: 'directory', folder: file });
    await expect(blocked.append([anchorAt(1)])).rejects.toThrow(AnchorStoreUnavailable);
    await expect(all(blocked)).rejects.toThrow(AnchorStoreUnavailable);
  });

  it('names anchors that are forged, signed with another key, or not signed', async () => {
    const genuine = anchorAt(7);
    const foreign = testSigner(11).sign({ ...anchorAt(8) });
    writeFileSync(
      file,
      [
        genuine,
        { ...genuine, position: 8 },
        { ...genuine, chain_sha256: 'cd'.repeat(32) },
        { ...genuine, application_id: randomUUID() },
        { ...genuine, anchored_at: '2026-11-06T10:00:00.000000Z' },
        { ...foreign, key_id: signer.keyId },
        foreign,
        { ...genuine, signature: '' },
        { hello: 'world' },
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    );
    const { byApplication, findings, unknown } = await collectAnchors(store.lines(), keys);
    expect([...byApplication.values()].flat()).toEqual([genuine]);
    expect(findings.map(({ code }) => code)).toEqual([
      ...Array.from({ length: 5 }, () => 'anchor_forged'),
      'anchor_unsigned',
      'anchor_unsigned',
    ]);
    expect([...unknown.values()].map(({ anchors }) => anchors)).toEqual([1]);
    expect(findings[0]?.sentence).toContain('anchors-2026-11-05.ndjson:2');
    expect((await collectAnchors(store.lines(), [...keys, publicKeyOf(testSigner(11))])).findings).toHaveLength(7);
  });

  it('has files that only their owner reads', () => {
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
  });
});

describe('the S3 store', () => {
  it('is away when its bucket is not there', async () => {
    const missing = openAnchorStore({ kind: 's3', bucket: 'none', prefix: '', endpoint: s3.endpoint });
    await expect(missing.append([anchorAt(1)])).rejects.toThrow('S3: NoSuchBucket');
    await expect(all(missing)).rejects.toThrow(AnchorStoreUnavailable);
    await missing.close();
  });
});

describe('a signing key', () => {
  it('is a seed or PKCS8, of Ed25519 alone', () => {
    const der = (key: KeyObject) => key.export({ format: 'der', type: 'pkcs8' });
    const ed25519 = generateKeyPairSync('ed25519').privateKey;
    expect(readSigningKey(der(ed25519))?.equals(ed25519)).toBe(true);
    expect(readSigningKey(der(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey))).toBeNull();
    for (const length of [0, 31, 33, 48]) expect(readSigningKey(Buffer.alloc(length))).toBeNull();
  });

  it('is the one that RFC 8032 makes of its seed', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    const key = readSigningKey(seed);
    if (key === null) throw new Error('it is a seed');
    expect(publicKeyOf(createAnchorSigner(key)).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
  });

  it('signs what its public key, and no other, takes for genuine', () => {
    const anchor = anchorAt(1);
    expect(createAnchorJudge(keys)(anchor)).toBe('genuine');
    expect(createAnchorJudge([publicKeyOf(testSigner(12))])(anchor)).toBe('unknown_key');
    expect(createAnchorJudge([])(anchor)).toBe('unknown_key');
  });
});
