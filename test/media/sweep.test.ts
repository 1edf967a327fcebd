import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mediaReference } from '../../src/domain/media-references.ts';
import { directoryStore } from '../../src/media/directory-store.ts';
import { MediaStoreUnavailable, type MediaStore } from '../../src/media/ports.ts';
import { storeFiles } from '../../src/media/store-files.ts';
import { sweepMedia } from '../../src/media/sweep.ts';
import { insertSessionMedia, settleFetchedMedia } from '../../src/postgres/media.ts';
import { newId } from '../../src/postgres/new-id.ts';
import type { SessionFile } from '../../src/sharing/ports.ts';
import { testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { someFile } from '../support/files.ts';
import { roundTripsOf } from '../support/round-trips.ts';
import { shareLab, userDocument, type LabBrand } from '../support/share-lab.ts';

const lab = shareLab();
const disk = directoryStore(mkdtempSync(join(tmpdir(), 'handoff-media-')));
let media: MediaStore = disk;
beforeEach(() => {
  media = disk;
});
afterEach(async () => {
  await resetClock(lab.database.pool);
  await lab.rows('truncate session_media, media_object');
});

async function store(bytes = someFile('image/png')): Promise<SessionFile & { objectKey: string }> {
  const file = { mediaId: newId(), contentType: 'image/png', bytes } as const;
  const named = { applicationId: lab.issuer.id, sessionId: newId() };
  const session = { ...named, key: testSealer.newDataKey(named) };
  const [stored] = await storeFiles({ tenants: lab.handoff, media }, [{ ...file, session }]);
  if (stored?.objectKey == null) throw new Error('a file that was given is stored');
  return { ...stored, objectKey: stored.objectKey };
}

const give = (owner: LabBrand, sessionId: string, file: SessionFile) =>
  lab.handoff.withTenant(owner.id, async (_tx, sql) =>
    insertSessionMedia(sql, { sessionId, applicationId: owner.id }, [file]),
  );

async function sessionWith(file: SessionFile): Promise<string> {
  const sessionId = await lab.takeIn(
    userDocument({ id_verifications: [{ status: 'Approved', front_image: mediaReference(file.mediaId) }] }),
  );
  await give(lab.issuer, sessionId, file);
  return sessionId;
}

const sweep = () => sweepMedia(lab.tenants, media);
const later = (by = '61 minutes') => shiftClock(lab.database.pool, by);
const objects = () => lab.rows<{ object_key: string }>('select object_key from media_object');

describe('the sweep', () => {
  it('takes what no session was ever given, an hour later', async () => {
    const { objectKey } = await store();
    await sweep();
    expect(await disk.get(objectKey)).not.toBeNull();
    await later();
    await sweep();
    expect(await disk.get(objectKey)).toBeNull();
    expect(await objects()).toEqual([]);
  });

  it('leaves what a session refers to, and does not look at it again', async () => {
    const file = await store();
    await sessionWith(file);
    await later();
    await sweep();
    expect(await disk.get(file.objectKey)).not.toBeNull();
    expect(await lab.rows('select check_at from media_object')).toEqual([{ check_at: null }]);
  });

  it('takes a deleted session’s file once no clone has it either', async () => {
    const file = await store();
    const source = await sessionWith(file);
    const { sessionId: clone } = await lab.redeem((await lab.mint(source)).tokenId);
    await later();
    await lab.remove(lab.issuer, source);
    await sweep();
    expect(await disk.get(file.objectKey)).not.toBeNull();
    await lab.remove(lab.partner, clone);
    await sweep();
    expect(await disk.get(file.objectKey)).toBeNull();
    expect(await objects()).toEqual([]);
  });

  it('finds what a crash between the row and the bytes left', async () => {
    media = { ...disk, put: () => Promise.reject(new Error('killed')) };
    await expect(store()).rejects.toThrow('killed');
    expect(await objects()).toHaveLength(1);
    media = disk;
    await later();
    await sweep();
    expect(await objects()).toEqual([]);
  });

  it('tries a removal that failed again later, and goes on with the others', async () => {
    const files = [await store(), await store()];
    await later();
    let failures = 1;
    media = {
      ...disk,
      remove: (key) => (failures-- > 0 ? Promise.reject(new MediaStoreUnavailable('test')) : disk.remove(key)),
    };
    await expect(sweep()).rejects.toThrow(MediaStoreUnavailable);
    await sweep();
    expect(await objects()).toHaveLength(1);
    await later('11 minutes');
    await sweep();
    expect(await objects()).toEqual([]);
    for (const { objectKey } of files) expect(await disk.get(objectKey)).toBeNull();
  });

  it('in several processes at once takes each object once', async () => {
    const files = await Promise.all(Array.from({ length: 30 }, () => store()));
    await later();
    const removed: string[] = [];
    media = { ...disk, remove: (key) => disk.remove(key).then(() => void removed.push(key)) };
    await Promise.all([sweep(), sweep(), sweep(), sweep()]);
    expect(removed.sort()).toEqual(files.map(({ objectKey }) => objectKey).sort());
    expect(await objects()).toEqual([]);
  });

  it('never leaves a session with an object that is gone: the reference is refused', async () => {
    const file = await store();
    await later();
    await sweep();
    await expect(sessionWith(file)).rejects.toMatchObject({ code: '23503' });
  });
});

describe('a file that is fetched after the session was cloned', () => {
  const waiting = (mediaId: string): SessionFile => ({ mediaId, objectKey: null, contentType: null, byteLength: null });
  const keys = async () =>
    (await lab.rows<{ object_key: string | null }>('select object_key from session_media')).map(
      ({ object_key: key }) => key,
    );

  it('stands in the clones too', async () => {
    const mediaId = newId();
    const source = await sessionWith(waiting(mediaId));
    await lab.redeem((await lab.mint(source)).tokenId);
    expect(await keys()).toEqual([null, null]);
    const file = await store();
    await lab.handoff.acrossTenants('media', async (_tx, sql) => settleFetchedMedia(sql, { ...file, mediaId }));
    expect(await keys()).toEqual([file.objectKey, file.objectKey]);
  });

  it('reaches a clone that was being written at that moment, by the sweep', async () => {
    const mediaId = newId();
    await sessionWith(waiting(mediaId));
    const file = await store();
    await lab.handoff.acrossTenants('media', async (_tx, sql) => settleFetchedMedia(sql, { ...file, mediaId }));
    await give(lab.issuer, await lab.takeIn(userDocument()), waiting(mediaId));
    await sweep();
    expect(await keys()).toEqual([file.objectKey, file.objectKey]);
  });
});

it('costs an import no round trip: files are cloned together with all else', async () => {
  const turns = async (sessionId: string) => {
    const { tokenId } = await lab.mint(sessionId);
    return roundTripsOf(lab.tenants, () => lab.redeem(tokenId));
  };
  const without = await turns(await lab.takeIn(userDocument()));
  const files = [await store(), await store(), await store()];
  const session = await sessionWith(files[0] as SessionFile);
  for (const file of files.slice(1)) await give(lab.issuer, session, file);
  expect(await turns(session)).toBe(without);
  expect(without).toBeLessThanOrEqual(5);
});
