import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fetchMediaActivity } from '../../src/activities/fetch-media.ts';
import { readSourceEvent } from '../../src/domain/ingestion.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { waitBeforeNextFetch } from '../../src/domain/media-fetch.ts';
import { openMediaStore } from '../../src/media/open-media-store.ts';
import { MediaStoreUnavailable } from '../../src/media/ports.ts';
import { openFile } from '../../src/media/sealed-file.ts';
import { storeFiles } from '../../src/media/store-files.ts';
import { sweepMedia } from '../../src/media/sweep.ts';
import { ingestStore } from '../../src/postgres/ingestion.ts';
import { mediaFetchLedger, wishOverdueFetches } from '../../src/postgres/media-fetches.ts';
import { ingestSourceEvent } from '../../src/sharing/ingest.ts';
import type { DataKey } from '../../src/sharing/ports.ts';
import { createGuardedGetter, type GuardedGetter } from '../../src/webhooks/http-get.ts';
import type { FetchResult } from '../../src/workflows/activity-types.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { personDecision, personEvent } from '../support/didit-webhooks.ts';
import { someFile } from '../support/files.ts';
import { receiveTls, type Loopback } from '../support/loopback.ts';
import { shareLab, STYLE } from '../support/share-lab.ts';
import { testTlsPair } from '../support/tls-pair.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const media = openMediaStore({ kind: 'directory', folder: mkdtempSync(join(tmpdir(), 'handoff-media-')) });
const loopback = { lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]), extraCa: testTlsPair.cert };
const rules = { allowHttp: false, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'], ...loopback } as const;

// Made ahead: an attempt has a second.
const BOMB = gzipSync(Buffer.alloc(50_000_000));

let source: Loopback;
let getter: GuardedGetter;
/** What the source answers, by the path of a link. */
const answers = new Map<string, RequestListener>();
const asked: string[] = [];

beforeAll(async () => {
  source = await receiveTls((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const answer = answers.get(path);
    if (answer === undefined) response.writeHead(404).end();
    else answer(request, response);
  });
  getter = createGuardedGetter({ ...rules, maxBytes: 100_000, totalTimeoutMs: 1_000 });
});
afterAll(async () => {
  await getter.close();
  await source.close();
});
afterEach(async () => {
  asked.splice(0);
  await resetClock(lab.database.pool);
});

/** A link to the source, and what it answers. */
function link(answer?: RequestListener): string {
  const path = `/${randomUUID()}?signature=s3cret`;
  if (answer !== undefined) answers.set(path, answer);
  return `https://receiver.test:${source.port}${path}`;
}
const file = (bytes: Buffer) => link((_request, response) => void response.end(bytes));

/** Takes a session in whose selfie and documents are behind these links. */
async function ingest(links: readonly string[], externalId: string = randomUUID(), made = 0): Promise<string> {
  const decision = personDecision(externalId, 'Ana', {
    liveness_checks: [],
    id_verifications: [{ status: 'Approved', extra_files: [...links] }],
  });
  const reading = readSourceEvent(personEvent(externalId, { created_at: 1_774_970_000 + made, decision }));
  if (reading.about !== 'session') throw new Error(JSON.stringify(reading));
  const call = { applicationId: lab.issuer.id, event: reading.event, actor: { kind: 'system', id: null } } as const;
  const { sessionId } = await lab.handoff.withTenant(lab.issuer.id, (tx, sql) =>
    ingestSourceEvent(tx, ingestStore(sql, tx.sealer), call, STYLE),
  );
  if (sessionId === null) throw new Error('it is about a session');
  return sessionId;
}

/** One call of the activity, as the run makes it. */
function fetchFiles(sessionId: string, store = media): Promise<FetchResult> {
  const activities = fetchMediaActivity({
    ledger: mediaFetchLedger(lab.tenants, testSealer),
    getter,
    store: (files) => storeFiles({ tenants: lab.handoff, media: store }, files),
  });
  return new MockActivityEnvironment().run((ref) => activities.fetchSessionFiles(ref), { sessionId });
}

interface Row extends JsonObject {
  state: string;
  last_reason: string | null;
  attempts: number;
  link: number;
}
const rowsOf = (sessionId: string) =>
  lab.rows<Row>(
    `select state, last_reason, attempts, octet_length(url) as link from media_fetch where session_id = $1
     order by created_at, media_id`,
    [sessionId],
  );

/** The files that a session has, in hexadecimal and sorted; `none yet` for each that it has not. */
async function filesOf(sessionId: string): Promise<string[]> {
  const rows = await lab.rows<{ object: string | null; mediaId: string; applicationId: string } & DataKey>(
    `select m.object_key as object, m.media_id as "mediaId", m.application_id as "applicationId", k.key_id as "keyId",
       k.wrapped
     from session_media m join session_key k using (session_id) where session_id = $1`,
    [sessionId],
  );
  const files = await Promise.all(
    rows.map(async ({ object, mediaId, applicationId, ...key }) => {
      const sealed = object === null ? null : await media.get(object);
      if (sealed === null) return 'none yet';
      return openFile(testSealer, { applicationId, sessionId, key }, mediaId, sealed).toString('hex');
    }),
  );
  return files.toSorted();
}
const these = (...files: (Buffer | null)[]) => files.map((file) => file?.toString('hex') ?? 'none yet').toSorted();

describe('a session’s files', () => {
  it('are fetched, stored by their content, and their links forgotten', async () => {
    const [face, paper] = [someFile('image/jpeg'), someFile('application/pdf')];
    const sessionId = await ingest([file(face), file(paper)]);
    expect(await filesOf(sessionId)).toEqual(these(null, null));
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(face, paper));
    const types = await lab.rows(
      'select content_type, byte_length::int as bytes from session_media where session_id = $1 order by content_type',
      [sessionId],
    );
    expect(types).toEqual([
      { content_type: 'application/pdf', bytes: paper.length },
      { content_type: 'image/jpeg', bytes: face.length },
    ]);
    expect(await rowsOf(sessionId)).toEqual([]);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(asked).toHaveLength(2);
  });

  it('come in portions when there are many', async () => {
    const sessionId = await ingest(Array.from({ length: 12 }, () => file(someFile('image/png'))));
    expect(await fetchFiles(sessionId)).toEqual({ ended: false, retryInMs: 0 });
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect((await filesOf(sessionId)).filter((bytes) => bytes !== null)).toHaveLength(12);
  });

  it('are theirs who cloned the session before they came', async () => {
    const face = someFile('image/jpeg');
    const sessionId = await ingest([file(face)]);
    const { tokenId } = await lab.mint(sessionId);
    const first = await lab.redeem(tokenId);
    const onward = await lab.mint(first.sessionId, { from: lab.partner, to: lab.third });
    const second = await lab.redeem(onward.tokenId, {}, lab.third);
    expect(await filesOf(second.sessionId)).toEqual(these(null));
    await fetchFiles(sessionId);
    expect(await filesOf(first.sessionId)).toEqual(these(face));
    expect(await filesOf(second.sessionId)).toEqual(these(face));
  });

  it('come to a clone when its original is gone, and to one that was written as they came', async () => {
    const face = someFile('image/jpeg');
    const sessionId = await ingest([file(face)]);
    const { tokenId } = await lab.mint(sessionId);
    const clone = await lab.redeem(tokenId);
    await lab.remove(lab.issuer, sessionId);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(clone.sessionId)).toEqual(these(face));
    const again = await ingest([file(face)]);
    const late = await lab.redeem((await lab.mint(again)).tokenId);
    await fetchFiles(again);
    await lab.rows('update session_media set object_key = null where session_id = $1', [late.sessionId]);
    await sweepMedia(lab.tenants, media);
    expect(await filesOf(late.sessionId)).toEqual(these(face));
  });

  it('are not fetched once nobody waits for them', async () => {
    const [old, fresh] = [someFile('image/png'), someFile('image/png')];
    const externalId = randomUUID();
    const sessionId = await ingest([file(old)], externalId, 1);
    await ingest([file(fresh)], externalId, 2);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(fresh));
    expect(await rowsOf(sessionId)).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it('stay a clone’s when the original was changed before they came', async () => {
    const [old, fresh] = [someFile('image/png'), someFile('image/png')];
    const externalId = randomUUID();
    const sessionId = await ingest([file(old)], externalId, 1);
    const { tokenId } = await lab.mint(sessionId);
    const clone = await lab.redeem(tokenId);
    await ingest([file(fresh)], externalId, 2);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(fresh));
    expect(await filesOf(clone.sessionId)).toEqual(these(old));
  });
});

describe('a source that does not do its part', () => {
  it.each<[string, string, () => string]>([
    [
      'an expired link',
      'link_refused',
      () => link((_request, response) => void response.writeHead(403).end('<Error>')),
    ],
    ['a link to nothing', 'link_refused', () => link()],
    ['an outage', 'source_unavailable', () => link((_request, response) => void response.writeHead(503).end())],
    ['too many calls', 'source_unavailable', () => link((_request, response) => void response.writeHead(429).end())],
    [
      'a redirect',
      'redirected',
      () => link((_request, response) => void response.writeHead(302, { location: 'https://127.0.0.1/' }).end()),
    ],
    ['silence', 'timeout', () => link(() => {})],
    ['a cut', 'reset', () => link((request) => void request.socket.destroy())],
    ['a wrong name', 'tls', () => file(someFile('image/png')).replace('receiver.test', 'other.test')],
  ])('is asked again later: %s', async (_what, reason, makeLink) => {
    const sessionId = await ingest([makeLink()]);
    const result = await fetchFiles(sessionId);
    expect(result).toMatchObject({ ended: false });
    const retryInMs = result.ended ? 0 : result.retryInMs;
    expect(retryInMs).toBeGreaterThan(5_000);
    expect(retryInMs).toBeLessThanOrEqual(10_000);
    expect(await rowsOf(sessionId)).toMatchObject([{ state: 'pending', last_reason: reason, attempts: 1 }]);
    expect((await rowsOf(sessionId))[0]?.link).toBeGreaterThan(0);
    expect(await fetchFiles(sessionId)).toMatchObject({ ended: false });
    expect((await rowsOf(sessionId))[0]?.attempts).toBe(1);
  });

  it.each<[string, string, () => string]>([
    ['a page', 'unknown_type', () => file(Buffer.from('<!doctype html><script>alert(1)</script>'))],
    ['a drawing with scripts', 'unknown_type', () => file(Buffer.from('<svg onload="alert(1)"/>'))],
    ['nothing', 'unknown_type', () => file(Buffer.alloc(0))],
    ['a file beyond bounds', 'too_large', () => file(someFile('video/mp4', 200_000))],
    [
      'a bomb',
      'encoded',
      () => link((_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(BOMB)),
    ],
    ['an address inside', 'egress_blocked', () => 'https://169.254.169.254/latest/meta-data/'],
  ])('is not asked again: %s', async (_what, reason, makeLink) => {
    const sessionId = await ingest([makeLink()]);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await rowsOf(sessionId)).toEqual([{ state: 'failed', last_reason: reason, attempts: 1, link: 0 }]);
    expect(await filesOf(sessionId)).toEqual(these(null));
  });

  it('is asked for the other files all the same, and again until it answers', async () => {
    const [good, late] = [someFile('image/webp'), someFile('image/tiff')];
    let down = true;
    const slow = link((_request, response) => void (down ? response.writeHead(500).end() : response.end(late)));
    const sessionId = await ingest([slow, file(good)]);
    expect(await fetchFiles(sessionId)).toMatchObject({ ended: false });
    expect(await filesOf(sessionId)).toEqual(these(null, good));
    down = false;
    await shiftClock(lab.database.pool, '11 seconds');
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(late, good));
  });

  it('has its failures forgotten with the session, also one that comes after', async () => {
    const [before, after] = [await ingest([file(Buffer.alloc(9))]), await ingest([file(Buffer.alloc(9))])];
    await fetchFiles(before);
    expect(await rowsOf(before)).toMatchObject([{ state: 'failed' }]);
    await lab.remove(lab.issuer, before);
    expect(await rowsOf(before)).toEqual([]);

    // A clone waits for it still.
    await lab.redeem((await lab.mint(after)).tokenId);
    await lab.remove(lab.issuer, after);
    expect(await rowsOf(after)).toMatchObject([{ state: 'pending' }]);
    expect(await fetchFiles(after)).toEqual({ ended: true });
    expect(await rowsOf(after)).toEqual([]);
  });

  it('is given up after a day, or after three refusals of a link', async () => {
    const waits = (reason: Parameters<typeof waitBeforeNextFetch>[0]) => {
      const all: number[] = [];
      for (let attempt = 1; ; attempt += 1) {
        const wait = waitBeforeNextFetch(reason, attempt);
        if (wait === null) return all;
        all.push(wait);
      }
    };
    const day = waits('timeout').reduce((sum, wait) => sum + wait, 0);
    expect(day).toBeGreaterThan(23 * 3_600_000);
    expect(day).toBeLessThan(25 * 3_600_000);
    expect(waits('link_refused')).toEqual([10_000, 60_000]);
    expect(waits('too_large')).toEqual([]);

    const sessionId = await ingest([link()]);
    for (const pass of ['11 seconds', '80 seconds', '80 seconds']) {
      expect(await fetchFiles(sessionId)).toHaveProperty('ended');
      await shiftClock(lab.database.pool, pass);
    }
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await rowsOf(sessionId)).toEqual([{ state: 'failed', last_reason: 'link_refused', attempts: 3, link: 0 }]);
  });
});

describe('a store that is down', () => {
  it('uses up no attempt of the source', async () => {
    const face = someFile('image/jpeg');
    const sessionId = await ingest([file(face)]);
    const down = { ...media, put: () => Promise.reject(new MediaStoreUnavailable('test')) };
    for (let times = 0; times < 2; times += 1) {
      await expect(fetchFiles(sessionId, down)).rejects.toThrow(MediaStoreUnavailable);
      await shiftClock(lab.database.pool, '4 minutes');
    }
    expect(await rowsOf(sessionId)).toMatchObject([{ state: 'pending', attempts: 0 }]);
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(face));
  });
});

describe('a fetcher that dies', () => {
  it('is waited for while it holds its file', async () => {
    const sessionId = await ingest([file(someFile('image/jpeg'))]);
    const holder = await lab.database.pool.connect();
    try {
      await holder.query('begin');
      await holder.query('select 1 from media_fetch where session_id = $1 for no key update', [sessionId]);
      expect(await fetchFiles(sessionId)).toEqual({ ended: false, retryInMs: 1_000 });
    } finally {
      await holder.query('rollback');
      holder.release();
    }
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
  });

  it('leaves its file to be fetched again after a while', async () => {
    const face = someFile('image/jpeg');
    const sessionId = await ingest([file(face)]);
    const ledger = mediaFetchLedger(lab.tenants, testSealer);
    expect(await ledger.claim(sessionId)).toMatchObject({ attempt: 1 });
    expect(await ledger.claim(sessionId)).toBeNull();
    expect(await fetchFiles(sessionId)).toMatchObject({ ended: false });
    await shiftClock(lab.database.pool, '4 minutes');
    expect(await fetchFiles(sessionId)).toEqual({ ended: true });
    expect(await filesOf(sessionId)).toEqual(these(face));
  });

  it('is asked for again when its run is gone, not sooner than in ten minutes and not more often', async () => {
    const sessionId = await ingest([file(someFile('image/jpeg'))]);
    await ingest([]);
    const wish = async () => {
      await lab.rows('truncate outbox');
      await lab.tenants.acrossTenants('relay', async (sql) => wishOverdueFetches(sql));
      return lab.rows('select wish, subject_id from outbox where subject_id = $1', [sessionId]);
    };
    expect(await wish()).toEqual([]);
    await shiftClock(lab.database.pool, '11 minutes');
    expect(await wish()).toEqual([{ wish: 'fetch_media', subject_id: sessionId }]);
    expect(await wish()).toEqual([]);
  });
});
