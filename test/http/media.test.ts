import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { directoryStore } from '../../src/media/directory-store.ts';
import type { FileType } from '../../src/media/file-types.ts';
import { MediaStoreUnavailable, type MediaStore } from '../../src/media/ports.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { dataUri, someFile } from '../support/files.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { mint, takeIn, userDocument } from './documents.ts';

const disk = directoryStore(mkdtempSync(join(tmpdir(), 'handoff-media-')));
let storeIsDown = false;
const media: MediaStore = {
  ...disk,
  put: (key, bytes) => (storeIsDown ? Promise.reject(new MediaStoreUnavailable('test')) : disk.put(key, bytes)),
};
const api = testApi({ media });
afterEach(async () => {
  storeIsDown = false;
  await resetClock(api.database.pool);
});

/** A GET as a browser makes it: the link alone, no key. */
async function open(link: string) {
  const { pathname, search } = new URL(link);
  const answer = await api.app.inject({ method: 'GET', url: pathname + search });
  return { status: answer.statusCode, bytes: answer.rawPayload, headers: answer.headers };
}

/** The code of what a link that opens nothing answers. */
async function refused(link: string): Promise<{ status: number; code: unknown }> {
  const { status, bytes } = await open(link);
  expect(status).not.toBe(200);
  return { status, code: (JSON.parse(bytes.toString()) as JsonObject)['code'] };
}

const NOT_FOUND = { status: 404, code: 'not_found' };

function withFront(front: string, more: JsonObject = {}): JsonObject {
  return userDocument({ id_verifications: [{ status: 'Approved', first_name: 'Ada', front_image: front, ...more }] });
}

async function decisionOf(brand: Brand, sessionId: string): Promise<JsonObject> {
  return (await api.call(brand, 'GET', `/v3/session/${sessionId}/decision/`)).body;
}

function front(decision: JsonObject): string | null {
  return ((decision['id_verifications'] as JsonObject[])[0] as JsonObject)['front_image'] as string | null;
}

async function frontOf(brand: Brand, sessionId: string): Promise<string> {
  const link = front(await decisionOf(brand, sessionId));
  if (link === null) throw new Error('the session has a front image');
  return link;
}

async function share(sessionId: string, to: Brand = api.partner): Promise<Answer> {
  const token = await mint(api, api.issuer, sessionId, to);
  return api.call(to, 'POST', '/v3/session/import-shared/', { share_token: token, trust_review: true });
}

describe('taking in a document with files in it', () => {
  it('stores each, and shows links in their place, in every answer', async () => {
    const files = ['image/jpeg', 'image/png', 'application/pdf', 'video/mp4'].map((type) => someFile(type as FileType));
    const [jpeg, png, pdf, mp4] = files as [Buffer, Buffer, Buffer, Buffer];
    const elsewhere = 'https://media.example/front.jpg';
    const taken = await api.call(
      api.issuer,
      'POST',
      '/v1/sessions/',
      userDocument({
        id_verifications: [
          {
            status: 'Approved',
            front_image: dataUri('image/jpeg', jpeg),
            back_image: elsewhere,
            front_video: dataUri('video/mp4', mp4),
            extra_files: [elsewhere, dataUri('image/png', png), null],
          },
        ],
        proof_of_address: [{ status: 'Approved', document_file: dataUri('application/pdf', pdf) }],
      }),
    );
    expect(taken.status).toBe(201);
    const read = await decisionOf(api.issuer, textOf(taken, 'session_id'));
    for (const decision of [taken.body, read]) {
      const [item] = decision['id_verifications'] as [JsonObject];
      const extra = item['extra_files'] as string[];
      expect(item['back_image']).toBe(elsewhere);
      expect([extra[0], extra[2]]).toEqual([elsewhere, null]);
      expect(decision['poa_verifications']).toEqual(decision['proof_of_address']);
      const links: [unknown, Buffer, string][] = [
        [item['front_image'], jpeg, 'image/jpeg'],
        [item['front_video'], mp4, 'video/mp4'],
        [extra[1], png, 'image/png'],
        [(decision['proof_of_address'] as JsonObject[])[0]?.['document_file'], pdf, 'application/pdf'],
      ];
      for (const [link, bytes, type] of links) {
        const answer = await open(String(link));
        expect(answer).toMatchObject({ status: 200, headers: { 'content-type': type } });
        expect(answer.bytes.equals(bytes)).toBe(true);
      }
    }
  });

  it('lets a file be shown or saved, and be nothing else', async () => {
    const session = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const { headers } = await open(await frontOf(api.issuer, session));
    expect(headers).toMatchObject({
      'content-disposition': expect.stringMatching(/^inline; filename="[0-9a-f-]{36}\.png"$/),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
      'cache-control': expect.stringMatching(/^private, max-age=(89\d|900)$/),
      'referrer-policy': 'no-referrer',
    });
    const pdf = await takeIn(api, api.issuer, withFront(dataUri('application/pdf', someFile('application/pdf'))));
    expect((await open(await frontOf(api.issuer, pdf))).headers['content-disposition']).toMatch(/^attachment; /);
  });

  it.each([
    ['data:image/png;base64,not base64!', 'The base64 is not valid'],
    [dataUri('image/png', someFile('image/png')).replace(/.$/, '\n'), 'The base64 is not valid'],
    ['data:image/png,plain', 'Write a file as data:'],
    ['data:text/html;base64,PGI+', 'This type is not accepted'],
    [dataUri('image/png', someFile('image/jpeg')), 'The bytes are image/jpeg, not image/png as stated.'],
    ['data:image/png;base64,', 'The file is empty.'],
    ['handoff-media:0190b0de-61b7-7f02-8a55-0c2d4e6f8a90', 'A reference is for our own use'],
  ])('refuses %.40s, naming the place', async (value, sentence) => {
    const before = await api.rows();
    const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', withFront(value));
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body['id_verifications.0.front_image']).toEqual([expect.stringContaining(sentence)]);
    expect(await api.rows()).toEqual(before);
  });

  it('takes bodies of up to 8 MiB, of which the document itself may be one', async () => {
    const big = withFront(dataUri('image/jpeg', someFile('image/jpeg', 5_900_000)));
    expect((await api.call(api.issuer, 'POST', '/v1/sessions/', big)).status).toBe(201);
    for (const tooBig of [
      withFront(dataUri('image/jpeg', someFile('image/jpeg', 6_400_000))),
      withFront('https://media.example/a.jpg', { address: 'a'.repeat(1_100_000) }),
    ]) {
      const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', tooBig);
      expect(answer).toMatchObject({ status: 413, body: { code: 'payload_too_large' } });
    }
  });

  it('does not have a reference stand for another session’s file, wherever it is put', async () => {
    const own = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const mediaId = new URL(await frontOf(api.issuer, own)).pathname.split('/')[4] ?? '';
    // Not a media field, so it is text like any other.
    const other = await takeIn(api, api.third, withFront('x', { address: `handoff-media:${mediaId}` }));
    const [item] = (await decisionOf(api.third, other))['id_verifications'] as [JsonObject];
    expect(item).toMatchObject({ address: `handoff-media:${mediaId}`, front_image: 'x' });
  });

  it('answers 503 while the store is away, and has taken nothing in', async () => {
    storeIsDown = true;
    const answer = await api.call(
      api.issuer,
      'POST',
      '/v1/sessions/',
      withFront(dataUri('image/png', someFile('image/png')), { external_id: 'x' }),
    );
    expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
  });
});

describe('a link', () => {
  it('opens nothing once anything of it is changed', async () => {
    const session = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const link = new URL(await frontOf(api.issuer, session));
    const signature = link.searchParams.get('signature') ?? '';
    expect(signature).toHaveLength(43);
    for (let index = 0; index < signature.length; index += 1) {
      for (const other of ['A', 'B', '_']) {
        if (signature[index] === other) continue;
        const changed = new URL(link);
        changed.searchParams.set('signature', signature.slice(0, index) + other + signature.slice(index + 1));
        expect(await refused(changed.href)).toEqual(NOT_FOUND);
      }
    }
    const expires = Number(link.searchParams.get('expires'));
    const more = (change: (url: URL) => void) => {
      const url = new URL(link);
      change(url);
      return url.href;
    };
    const mediaId = link.pathname.split('/')[4] ?? '';
    for (const changed of [
      more((url) => url.searchParams.set('expires', String(expires + 1))),
      more((url) => url.searchParams.set('expires', `0${expires}`)),
      more((url) => url.searchParams.set('expires', `${expires}.0`)),
      more((url) => url.searchParams.set('application', api.partner.id)),
      more((url) => url.searchParams.set('application', api.issuer.id.toUpperCase())),
      more((url) => url.searchParams.append('application', api.issuer.id)),
      more((url) => url.searchParams.set('signature', `${signature}=`)),
      more((url) => url.searchParams.delete('signature')),
      more((url) => url.searchParams.delete('expires')),
      more((url) => (url.pathname = url.pathname.replace(session, mediaId))),
      more((url) => (url.pathname = url.pathname.replace(mediaId, session))),
      more((url) => (url.pathname = '/v1/media/a/b/')),
    ]) {
      expect(await refused(changed)).toEqual(NOT_FOUND);
    }
    expect((await open(link.href)).status).toBe(200);
    expect((await open(link.href.replace('/?', '?'))).status).toBe(200);
  });

  it('lives a quarter of an hour by the database’s clock, and says then that it has expired', async () => {
    const session = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const link = await frontOf(api.issuer, session);
    await shiftClock(api.database.pool, '14 minutes 50 seconds');
    expect((await open(link)).status).toBe(200);
    await shiftClock(api.database.pool, '11 seconds');
    expect(await refused(link)).toEqual({ status: 403, code: 'media_link_expired' });
    expect((await open(await frontOf(api.issuer, session))).status).toBe(200);
  });

  it('dies with its session', async () => {
    const session = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const link = await frontOf(api.issuer, session);
    await api.call(api.issuer, 'DELETE', `/v3/session/${session}/delete/`);
    expect(await refused(link)).toEqual(NOT_FOUND);
  });

  it('dies with its application', async () => {
    const brand = await api.newBrand();
    const session = await takeIn(api, brand, withFront(dataUri('image/png', someFile('image/png'))));
    const link = await frontOf(brand, session);
    await api.database.pool.query('update application set deleted_at = now() where application_id = $1', [brand.id]);
    expect(await refused(link)).toEqual(NOT_FOUND);
  });

  it('to a file that is still with its source asks for patience; the decision has null there', async () => {
    const session = await takeIn(api, api.issuer, withFront(dataUri('image/png', someFile('image/png'))));
    const link = await frontOf(api.issuer, session);
    await api.database.pool.query('update session_media set object_key = null where session_id = $1', [session]);
    expect(await refused(link)).toEqual({ status: 404, code: 'media_pending' });
    expect((await open(link)).headers['retry-after']).toBe('10');
    expect(front(await decisionOf(api.issuer, session))).toBeNull();
  });
});

describe('a clone', () => {
  it('carries the files, which each application reads through its own links', async () => {
    const file = someFile('image/jpeg');
    const source = await takeIn(api, api.issuer, withFront(dataUri('image/jpeg', file)));
    const imported = await share(source);
    expect(imported.status).toBe(201);
    const clone = textOf(imported, 'session_id');
    const [issuers, partners] = [await frontOf(api.issuer, source), await frontOf(api.partner, clone)];
    for (const link of [issuers, partners, String(front(imported.body))]) {
      expect((await open(link)).bytes.equals(file)).toBe(true);
    }
    expect(new URL(partners).searchParams.get('application')).toBe(api.partner.id);
    // The same file: but a signature opens the session that it was made for, to the application that it was made for.
    const [ours, theirs] = [new URL(issuers), new URL(partners)];
    expect(ours.pathname.split('/')[4]).toBe(theirs.pathname.split('/')[4]);
    for (const [path, query] of [
      [ours.pathname, theirs.search],
      [theirs.pathname, ours.search],
    ]) {
      expect(await refused(`http://localhost${path}${query}`)).toEqual(NOT_FOUND);
    }
  });

  it('keeps its files when the source is deleted, and the source when the clone is', async () => {
    const file = someFile('image/jpeg');
    for (const [gone, stays] of [
      ['source', 'clone'],
      ['clone', 'source'],
    ] as const) {
      const source = await takeIn(api, api.issuer, withFront(dataUri('image/jpeg', file)));
      const clone = textOf(await share(source), 'session_id');
      const sides = { source: [api.issuer, source], clone: [api.partner, clone] } as const;
      const lost = await frontOf(...sides[gone]);
      await api.call(sides[gone][0], 'DELETE', `/v3/session/${sides[gone][1]}/delete/`);
      expect(await refused(lost)).toEqual(NOT_FOUND);
      expect((await open(await frontOf(...sides[stays]))).bytes.equals(file)).toBe(true);
    }
  });

  it('of a clone carries them on', async () => {
    const file = someFile('image/jpeg');
    const source = await takeIn(api, api.issuer, withFront(dataUri('image/jpeg', file)));
    const clone = textOf(await share(source), 'session_id');
    const token = await mint(api, api.partner, clone, api.third);
    const again = await api.call(api.third, 'POST', '/v3/session/import-shared/', { share_token: token });
    expect((await open(String(front(again.body)))).bytes.equals(file)).toBe(true);
  });
});

describe('POST /v1/sessions/{session_id}/media/', () => {
  const upload = (
    as: Brand | string | null,
    sessionId: string,
    field: string,
    body: Buffer | string,
    headers: Record<string, string> = {},
  ) =>
    api.call(as, 'POST', `/v1/sessions/${sessionId}/media/?field=${encodeURIComponent(field)}`, body, {
      'content-type': 'image/png',
      ...headers,
    });
  const FRONT = 'id_verifications.0.front_image';

  it('stores a file in place of what the field held', async () => {
    const session = await takeIn(api, api.issuer, withFront('https://media.example/front.jpg'));
    const [first, second] = [someFile('image/png'), someFile('image/jpeg')];
    const stored = await upload(api.issuer, session, FRONT, first);
    expect(stored).toMatchObject({
      status: 201,
      body: { field: FRONT, content_type: 'image/png', byte_length: first.length },
    });
    expect((await open(textOf(stored, 'url'))).bytes.equals(first)).toBe(true);
    const link = await frontOf(api.issuer, session);
    expect(link).toContain(textOf(stored, 'media_id'));

    const replaced = await upload(api.issuer, session, FRONT, second, { 'content-type': 'image/jpg' });
    expect(replaced.body).toMatchObject({ content_type: 'image/jpeg' });
    expect((await open(await frontOf(api.issuer, session))).bytes.equals(second)).toBe(true);
    // What it replaced is the session's no more.
    expect(await refused(link)).toEqual(NOT_FOUND);
  });

  it('takes lists of files in turn, deep places, and members that were not there', async () => {
    const session = await takeIn(
      api,
      api.issuer,
      userDocument({
        id_verifications: [{ status: 'Approved', extra_files: null, wallet_verification: { provider: 'x' } }],
        questionnaires: [{ sections: [{ items: [{ answer: { files: [] } }] }] }],
      }),
    );
    const files: [string, Buffer][] = [
      'id_verifications.0.extra_files.0',
      'id_verifications.0.extra_files.1',
      'id_verifications.0.back_image',
      'id_verifications.0.wallet_verification.portrait',
      'questionnaires.0.sections.0.items.0.answer.files.0',
    ].map((field) => [field, someFile('image/png')]);
    for (const [field, file] of files) expect((await upload(api.issuer, session, field, file)).status).toBe(201);
    const decision = await decisionOf(api.issuer, session);
    for (const [field, file] of files) {
      const value = field.split('.').reduce<unknown>((at, key) => (at as JsonObject)[key], decision);
      expect((await open(String(value))).bytes.equals(file)).toBe(true);
    }
  });

  it.each([
    'id_verifications.0.extra_files.2',
    'id_verifications.0.extra_files',
    'id_verifications.1.front_image',
    'id_verifications.0.first_name',
    'id_verifications.0.matches.0.front_image_url',
    'id_verifications.0.matches.0.portrait',
    'id_verifications.0.__proto__.portrait',
    'id_verifications.0.first_name.portrait',
    'id_verifications.front_image',
    'aml_screenings.0.front_image',
    'metadata.front_image',
    'front_image',
    'document_verifications.0.items.0.file_url',
  ])('refuses the field %s and changes nothing', async (field) => {
    const document = withFront('https://media.example/a.jpg', {
      extra_files: ['https://media.example/b.jpg'],
      matches: [{ session_id: 'x', portrait: 'y' }],
    });
    const session = await takeIn(api, api.issuer, document);
    const before = await decisionOf(api.issuer, session);
    expect(await upload(api.issuer, session, field, someFile('image/png'))).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', field: [expect.any(String)] },
    });
    expect(await decisionOf(api.issuer, session)).toEqual(before);
  });

  it('refuses what is no file of its type, or of none that is accepted', async () => {
    const session = await takeIn(api, api.issuer, withFront('x'));
    const file = [expect.any(String)];
    expect(await upload(api.issuer, session, FRONT, someFile('image/jpeg'))).toMatchObject({
      status: 400,
      body: { file },
    });
    expect(await upload(api.issuer, session, FRONT, '')).toMatchObject({ status: 400, body: { file } });
    const html = await upload(api.issuer, session, FRONT, '<b>', { 'content-type': 'text/html' });
    expect(html).toMatchObject({
      status: 415,
      body: { code: 'unsupported_media_type', detail: expect.stringContaining('image/jpeg, image/png, ') },
    });
    const json = await upload(api.issuer, session, FRONT, '{}', { 'content-type': 'application/json' });
    expect(json).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } });
    const big = await upload(api.issuer, session, FRONT, someFile('image/png', 10 * 1024 * 1024));
    expect(big).toMatchObject({
      status: 413,
      body: { code: 'payload_too_large', detail: expect.stringContaining('10 MiB') },
    });
    const without = await api.call(api.issuer, 'POST', `/v1/sessions/${session}/media/`, someFile('image/png'), {
      'content-type': 'image/png',
    });
    expect(without).toMatchObject({ status: 400, body: { field: ['This field is required.'] } });
  });

  it('is for the session’s own application, with a key that may write', async () => {
    const session = await takeIn(api, api.issuer, withFront('x'));
    const file = someFile('image/png');
    expect(await upload(api.partner, session, FRONT, file)).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    });
    expect((await upload(api.issuer, 'no-id', FRONT, file)).status).toBe(404);
    expect((await upload(null, session, FRONT, file)).status).toBe(401);
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect((await upload(reader, session, FRONT, file)).status).toBe(403);
    expect(await frontOf(api.issuer, session)).toBe('x');
  });

  it('has its effect once per Idempotency-Key; another field or file is another request', async () => {
    const session = await takeIn(api, api.issuer, withFront('x'));
    const file = someFile('image/png');
    const key = { 'idempotency-key': `upload-${session}` };
    const first = await upload(api.issuer, session, FRONT, file, key);
    const second = await upload(api.issuer, session, FRONT, file, key);
    expect(second).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' } });
    expect(second.body['media_id']).toBe(first.body['media_id']);
    const other = await upload(api.issuer, session, 'id_verifications.0.back_image', file, key);
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    expect((await upload(api.issuer, session, FRONT, someFile('image/png'), key)).status).toBe(422);
    await upload(api.issuer, session, FRONT, someFile('image/png'));
    expect(await upload(api.issuer, session, FRONT, file, key)).toMatchObject({
      status: 404,
      body: { code: 'resource_deleted' },
    });
  });

  it('does not touch what a partner imported before', async () => {
    const [before, after] = [someFile('image/png'), someFile('image/png')];
    const source = await takeIn(api, api.issuer, withFront(dataUri('image/png', before)));
    const clone = textOf(await share(source), 'session_id');
    await upload(api.issuer, source, FRONT, after);
    expect((await open(await frontOf(api.partner, clone))).bytes.equals(before)).toBe(true);
    expect((await open(await frontOf(api.issuer, source))).bytes.equals(after)).toBe(true);
  });
});

it('stores the same bytes for each session and place, sealed, so that they open nowhere else', async () => {
  const file = someFile('image/png');
  const first = await takeIn(
    api,
    api.issuer,
    withFront(dataUri('image/png', file), { back_image: dataUri('image/png', file) }),
  );
  const second = await takeIn(api, api.third, withFront(dataUri('image/png', file)));
  const { rows } = await api.database.pool.query<{ sessionId: string; mediaId: string; objectKey: string }>(
    `select session_id as "sessionId", media_id as "mediaId", object_key as "objectKey" from session_media
     where session_id = any ($1)`,
    [[first, second]],
  );
  expect(new Set(rows.map(({ objectKey }) => objectKey)).size).toBe(3);
  for (const { objectKey } of rows) {
    const stored = await disk.get(objectKey);
    expect(
      createHash('sha256')
        .update(stored ?? '')
        .digest('hex'),
    ).toBe(objectKey);
    expect(stored?.includes(file.subarray(8))).toBe(false);
  }
  // Whoever writes into the database cannot have one file stand for another.
  const [one, other] = rows.filter(({ sessionId }) => sessionId === first);
  await api.database.pool.query('update session_media set object_key = $3 where session_id = $1 and media_id = $2', [
    first,
    one?.mediaId,
    other?.objectKey,
  ]);
  const [item] = (await decisionOf(api.issuer, first))['id_verifications'] as [JsonObject];
  const links = [String(item['front_image']), String(item['back_image'])];
  const statuses = await Promise.all(links.map(async (link) => (await open(link)).status));
  expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 500]);
});
