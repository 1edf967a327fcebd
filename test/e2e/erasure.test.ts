import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { directoryStore } from '../../src/media/directory-store.ts';
import { testSealer } from '../support/app-parts.ts';
import { readSample, type Brand } from '../support/brands.ts';
import { canaryBook, plantDocument, type CanaryBook } from '../support/canaries.ts';
import { columnsOf, filesOf } from '../support/canary-places.ts';
import { dataUri, someFile } from '../support/files.ts';
import { formBytes } from '../support/import-files.ts';
import { needleSearch } from '../support/needles.ts';
import { openedColumns } from '../support/opened-columns.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();
const erased = canaryBook();
const kept = canaryBook();
let issuer: Brand;
let partner: Brand;
let mediaFolder: string;
/** Everything that was made of the one who is erased. */
const sessions: { readonly owner: Brand; readonly id: string }[] = [];
const tokens: string[] = [];
/** Of the one who is erased, for somebody who never used it. */
let third: Brand;
let plainToken: string;

/** A person with a file, whose records a book names. */
function document(book: CanaryBook): JsonObject {
  const planted = plantDocument(book, readSample('kyc-approved'), 'person');
  const [first, ...more] = planted['id_verifications'] as JsonObject[];
  const file = Buffer.concat([someFile('image/png'), Buffer.from(book.plant('personal', 'file'))]);
  return { ...planted, id_verifications: [{ ...first, front_image: dataUri('image/png', file) }, ...more] };
}

/** Takes a person in, from a file, by call and by review; hands them over, to be accepted, refused and imported again. */
async function live(book: CanaryBook, note: boolean): Promise<string> {
  const { brands } = stack;
  const person = document(book);
  const rows = [JSON.stringify(person), JSON.stringify({ ...person, status: book.plant('personal', 'wrong status') })];
  const name = `${book.plant('personal', 'file name')}.ndjson`;
  const form = await formBytes({ import_type: 'user_verification' }, { name, content: rows.join('\n') });
  const uploaded = await fetch(new URL('/v3/session/imports/', stack.apiUrl), {
    method: 'POST',
    headers: { ...form.headers, 'x-api-key': issuer.key },
    body: new Uint8Array(form.payload),
  });
  const { uuid } = (await uploaded.json()) as { uuid: string };
  await expect
    .poll(async () => (await brands.done(issuer, 'GET', `/v3/session/imports/${uuid}/`))['status'], { timeout: 20_000 })
    .toBe('completed');
  const sessionId = await brands.takeIn(issuer, 'kyc-approved', person);
  await brands.done(issuer, 'POST', `/v3/sessions/${sessionId}/reviews/`, {
    comment: book.plant('personal', 'review'),
  });
  const vendor = String(person['vendor_data']);
  const profile = { display_name: book.plant('personal', 'display name') };
  await brands.done(issuer, 'PATCH', `/v3/users/${vendor}/`, profile);

  const refused = await brands.open(issuer, partner, sessionId);
  await partner.endpoint.heard('share.received', refused);
  const no = { accept: false, reason: book.plant('personal', 'reason') };
  expect(await brands.acknowledge(partner, refused, no)).toMatchObject({ status: 200 });
  const accepted = await brands.open(issuer, partner, sessionId);
  await partner.endpoint.heard('share.received', accepted);
  await brands.acknowledge(partner, accepted, { accept: true, vendor_data: vendor });
  const imported = async () => (await brands.read(partner, accepted))['imported_session_id'];
  await expect.poll(imported, { timeout: 20_000 }).not.toBeNull();
  const cloneId = String(await imported());
  await partner.endpoint.heard('status.updated', cloneId);
  const comment = book.plant('personal', 'review of the clone');
  await brands.done(partner, 'POST', `/v3/sessions/${cloneId}/reviews/`, { comment });
  // A token that nobody has used holds a key for the partner.
  const other = await brands.add({ destination: false });
  const open = await brands.open(issuer, other, sessionId);
  const minted = await brands.done(issuer, 'POST', `/v3/session/${sessionId}/share/`, { for_application_id: other.id });
  if (note) [third, plainToken] = [other, String(minted['share_token'])];
  if (note) sessions.push({ owner: issuer, id: sessionId }, { owner: partner, id: cloneId });
  if (note) tokens.push(refused, accepted, open);
  return vendor;
}

let vendor: string;
it('two people are taken in, noted and handed over', async () => {
  const { brands } = stack;
  mediaFolder = fileURLToPath(String(stack.env['MEDIA_STORE']));
  [issuer, partner] = [await brands.add(), await brands.add()];
  await brands.connect(issuer, partner, { trust_review: true, vendor_data_rule: 'same' });
  vendor = await live(erased, true);
  await live(kept, false);
});

/** What somebody with every key can read of a book, as `place: kind`. */
async function readable(book: CanaryBook): Promise<string[]> {
  const { find } = needleSearch(book.all.map(({ kind, text, name }) => ({ text, name: `${kind}: ${name}` })));
  const { pool } = stack.database;
  const places = {
    ...(await columnsOf(pool)),
    ...(await openedColumns(pool, testSealer, directoryStore(mediaFolder))),
    ...filesOf(mediaFolder),
  };
  return Object.entries(places).flatMap(([place, bytes]) => find(bytes).map((name) => `${place}: ${name}`));
}
/** Names of the places, but that of a reason which the partner gave: `share.refused` tells it, and is of no session. */
const placesOf = (hits: readonly string[]) =>
  [...new Set(hits.filter((hit) => hit !== TOLD_REASON).map((hit) => hit.split(': ')[0] ?? ''))].toSorted();
const TOLD_REASON = 'event_payload.payload, opened: personal: reason';

/** What no deletion of a session or an entity reaches: the partner’s word, and rows of files that were never taken in. */
const KEPT = [
  'acknowledgement.reason, opened',
  'acknowledgement.vendor_data',
  'session_import.source_filename, opened',
  'session_import_error.payload, opened',
];
const OF_ENTITIES = [
  'entity.profile, opened',
  'entity.vendor_data',
  'entity_comment.payload, opened',
  'event_payload.payload, opened',
];
const OF_SESSIONS = [
  'event_payload.payload, opened',
  'files, opened',
  'session.external_id',
  'session.vendor_data',
  'session_check.payload, opened',
  'session_home.payload, opened',
];
const all = (...lists: string[][]) => [...new Set(lists.flat())].toSorted();

it('before, whoever has every key reads both of them everywhere', async () => {
  const everywhere = all(KEPT, OF_ENTITIES, OF_SESSIONS);
  expect(placesOf(await readable(erased))).toEqual(everywhere);
  expect(placesOf(await readable(kept))).toEqual(everywhere);
});

it('a deleted session takes content, files, keys and what was told of it along, at each side by itself', async () => {
  const ids = sessions.map(({ id }) => id);
  const events = async () => {
    const { rows } = await stack.database.pool.query<{ id: string; type: string }>(
      'select event_id as id, type from event where session_id = any ($1) or token_id = any ($2) order by 1',
      [ids, tokens],
    );
    return rows;
  };
  const before = await events();
  for (const { owner, id } of sessions) await stack.brands.done(owner, 'DELETE', `/v3/session/${id}/delete/`);
  const left = await readable(erased);
  expect(placesOf(left)).toEqual(all(KEPT, OF_ENTITIES));
  const told = left.filter((hit) => hit.startsWith('event_payload') && hit !== TOLD_REASON);
  expect(told.map((hit) => hit.split(': ').at(-1) ?? '').toSorted()).toEqual(['display name', 'person vendor_data']);

  const { rows } = await stack.database.pool.query(
    `select 'session' as left from session_key where session_id = any ($1)
     union all select 'token' from token_key where session_id = any ($1) or token_id = any ($2)
     union all select 'search' from session_search where session_id = any ($1)`,
    [ids, tokens],
  );
  expect(rows).toEqual([]);
  // The audit trail goes on: ids and hashes.
  const after = await events();
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after.filter(({ type }) => type === 'session.deleted')).toHaveLength(2);
  const late = { share_token: plainToken };
  expect(await stack.brands.call(third, 'POST', '/v3/session/import-shared/', late)).toMatchObject({ status: 404 });
});

it('a deleted entity takes its profile and its history along', async () => {
  for (const owner of [issuer, partner]) {
    await stack.brands.done(owner, 'POST', '/v3/users/delete/', { vendor_data_list: [vendor] });
  }
  expect(placesOf(await readable(erased))).toEqual(all(KEPT));
});

it('and nobody else lost anything', async () => {
  expect(placesOf(await readable(kept))).toEqual(all(KEPT, OF_ENTITIES, OF_SESSIONS));
});
