import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { resetClock } from '../support/database.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { dataUri, someFile } from '../support/files.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const api = testApi();
afterEach(() => resetClock(api.database.pool));

const KINDS = ['users', 'businesses'] as const;
type Plural = (typeof KINDS)[number];
const document = { users: userDocument, businesses: businessDocument };

const at = (kind: Plural, vendorData: string, then = '') =>
  `/v3/${kind}/${encodeURIComponent(vendorData)}/${then === '' ? '' : `${then}/`}`;
const create = (as: Brand, kind: Plural, body: JsonObject, headers?: Record<string, string>) =>
  api.call(as, 'POST', `/v3/${kind}/create/`, body, headers);
const read = (as: Brand, kind: Plural, vendorData: string) => api.call(as, 'GET', at(kind, vendorData));
const setStatus = (as: Brand, kind: Plural, vendorData: string, status: string) =>
  api.call(as, 'PATCH', at(kind, vendorData, 'update-status'), { status });
const namesOf = ({ body }: Answer) => (body['results'] as JsonObject[]).map((row) => row['vendor_data']);

/** Imports a new session of the issuer into a brand under this `vendor_data`. */
async function importAs(to: Brand, kind: Plural, vendorData: string, trustReview = true): Promise<Answer> {
  const token = await mint(api, api.issuer, await takeIn(api, api.issuer, document[kind]()), to);
  return api.call(to, 'POST', '/v3/session/import-shared/', {
    share_token: token,
    vendor_data: vendorData,
    trust_review: trustReview,
  });
}

const NEW = {
  users: {
    full_name: null,
    date_of_birth: null,
    portrait_image_url: null,
    issuing_states: [],
    approved_emails: [],
    approved_phones: [],
    comments: [],
  },
  businesses: { legal_name: null, registration_number: null, country_code: null },
};

describe.each(KINDS)('POST /v3/%s/create/', (kind) => {
  it('makes one that says nothing but its name', async () => {
    const answer = await create(api.third, kind, { vendor_data: 'bare', more: 'ignored, as Didit does' });
    expect(answer.status).toBe(201);
    const { didit_internal_id, created_at, updated_at, ...rest } = answer.body;
    expect(rest).toEqual({
      ...NEW[kind],
      vendor_data: 'bare',
      display_name: null,
      effective_name: null,
      status: 'ACTIVE',
      session_count: 0,
      approved_count: 0,
      declined_count: 0,
      in_review_count: 0,
      features: {},
      features_list: [],
      last_session_at: null,
      first_session_at: null,
      last_activity_at: null,
      tags: [],
      metadata: {},
    });
    expect([didit_internal_id, created_at, updated_at].every((value) => typeof value === 'string')).toBe(true);
    expect(await read(api.third, kind, 'bare')).toMatchObject({ status: 200, body: answer.body });
  });

  it('keeps what it was given, sealed', async () => {
    const profile =
      kind === 'users'
        ? {
            full_name: 'Ada Sealed Lovelace',
            display_name: null,
            date_of_birth: '1990-05-17',
            approved_emails: ['ada@sealed.example'],
            approved_phones: ['+34600000000'],
            issuing_states: ['ESP'],
          }
        : { legal_name: 'Ada Sealed Lovelace', registration_number: 'B-1', country_code: 'ES', display_name: null };
    const given = { vendor_data: 'full', status: 'FLAGGED', metadata: { deep: { tier: ['Sealed'] } }, ...profile };
    const answer = await create(api.third, kind, given);
    expect(answer).toMatchObject({ status: 201, body: { ...given, effective_name: 'Ada Sealed Lovelace' } });
    const { rows } = await api.database.pool.query<{ columns: string }>(
      `select (to_jsonb(e) - 'profile')::text as columns from entity e where entity_id = $1`,
      [textOf(answer, 'didit_internal_id')],
    );
    expect(rows[0]?.columns).toContain('full');
    expect(rows[0]?.columns).not.toMatch(/sealed|lovelace|1990/i);
  });

  it.each([
    [{ status: 'GONE' }, 'status', 'Invalid status. Valid options are: ACTIVE, FLAGGED, BLOCKED'],
    [{ metadata: [] }, 'metadata', 'Metadata must be a JSON object.'],
    [{ metadata: null }, 'metadata', 'Metadata must be a JSON object.'],
    [{ metadata: 'x' }, 'metadata', 'Metadata must be a JSON object.'],
    [{ metadata: nested(30) }, 'metadata', 'Must not nest deeper than 20 levels.'],
    [{ vendor_data: 'v'.repeat(513) }, 'vendor_data', 'Ensure this field has no more than 512 characters.'],
    [{ vendor_data: '' }, 'vendor_data', 'This field may not be blank.'],
    [{ vendor_data: 7 }, 'vendor_data', 'Not a valid string.'],
    [{ display_name: 'n'.repeat(256) }, 'display_name', 'Ensure this field has no more than 255 characters.'],
  ])('refuses what is wrong (%#) on $1', async (wrong, field, sentence) => {
    const before = await api.rows();
    const answer = await create(api.third, kind, { vendor_data: 'wrong', ...wrong });
    expect(answer).toMatchObject({ status: 400, body: { [field]: [sentence], code: 'invalid_request' } });
    expect(await api.rows()).toEqual(before);
  });

  it('refuses a second one, also of a session’s making, and of many at once makes one', async () => {
    const sentence = `A ${kind === 'users' ? 'user' : 'business'} with this vendor_data already exists.`;
    const brand = await api.newBrand();
    await takeIn(api, brand, document[kind]({ vendor_data: 'from-session' }));
    expect(await create(brand, kind, { vendor_data: 'from-session' })).toMatchObject({
      status: 400,
      body: { vendor_data: [sentence] },
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => create(brand, kind, { vendor_data: 'at-once' })));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
      201,
      ...Array.from({ length: 7 }, () => 400),
    ]);
    // The other kind, and another application, have names of their own.
    const other = kind === 'users' ? 'businesses' : 'users';
    expect((await create(brand, other, { vendor_data: 'at-once' })).status).toBe(201);
    expect((await create(await api.newBrand(), kind, { vendor_data: 'at-once' })).status).toBe(201);
  });

  it('is one for each Idempotency-Key', async () => {
    const once = () => create(api.third, kind, { vendor_data: 'once' }, { 'idempotency-key': `one-of-${kind}` });
    const first = await once();
    expect(await once()).toMatchObject({
      status: 201,
      body: first.body,
      headers: { 'idempotent-replayed': 'true' },
    });
    await api.call(api.third, 'POST', `/v3/${kind}/delete/`, { vendor_data_list: ['once'] });
    expect(await once()).toMatchObject({ status: 404, body: { code: 'resource_deleted' } });
  });
});

it('a user needs vendor_data, a business does not and then goes by its id', async () => {
  expect(await create(api.third, 'users', {})).toMatchObject({
    status: 400,
    body: { vendor_data: ['This field is required.'] },
  });
  const first = await create(api.third, 'businesses', { legal_name: 'Nameless One' });
  const second = await create(api.third, 'businesses', { legal_name: 'Nameless Two', vendor_data: null });
  expect([first.status, second.status]).toEqual([201, 201]);
  const id = textOf(first, 'didit_internal_id');
  expect(await read(api.third, 'businesses', id)).toMatchObject({ status: 200, body: { legal_name: 'Nameless One' } });
  expect(await setStatus(api.third, 'businesses', id, 'FLAGGED')).toMatchObject({ body: { status: 'FLAGGED' } });
  expect((await read(api.partner, 'businesses', id)).status).toBe(404);
  // An id is no name for one that has vendor_data.
  const named = await create(api.third, 'businesses', { vendor_data: 'has-a-name' });
  expect((await read(api.third, 'businesses', textOf(named, 'didit_internal_id'))).status).toBe(404);
});

describe('vendor_data in a path', () => {
  it.each([
    ['slashes', 'a/b/../c'],
    ['one slash', '/'],
    ['a percent sign', '100%'],
    ['a percent-encoded slash', '%2F'],
    ['a query and a fragment', '?limit=1#x'],
    ['the name of a route', 'create'],
    ['another one', 'delete'],
    ['a third one', 'update-status'],
    ['an address', 'mail+tag@example.org; x=1'],
    ['spaces', ' spaced '],
    ['any script', '日本語/Ünï🙂'],
    ['512 of three bytes', '語'.repeat(512)],
    ['256 pairs of surrogates', '🙂'.repeat(256)],
    ['512 letters', 'a'.repeat(512)],
  ])('may be %s', async (_name, vendorData) => {
    for (const kind of KINDS) {
      expect((await create(api.partner, kind, { vendor_data: vendorData })).status).toBe(201);
      expect(await read(api.partner, kind, vendorData)).toMatchObject({
        status: 200,
        body: { vendor_data: vendorData },
      });
      const flagged = await setStatus(api.partner, kind, vendorData, 'FLAGGED');
      expect(flagged).toMatchObject({ status: 200, body: { vendor_data: vendorData, status: 'FLAGGED' } });
      const changed = await api.call(api.partner, 'PATCH', at(kind, vendorData), { display_name: 'D' });
      expect(changed).toMatchObject({ status: 200, body: { vendor_data: vendorData, effective_name: 'D' } });
      const gone = await api.call(api.partner, 'POST', `/v3/${kind}/delete/`, { vendor_data_list: [vendorData] });
      expect(gone).toMatchObject({ status: 200, body: { deleted: 1 } });
      expect((await read(api.partner, kind, vendorData)).status).toBe(404);
    }
  });

  it.each(['%00', 'a%00b', '%ff', '%', '%E6%97'])('that is no text, %s, is not found', async (path) => {
    for (const kind of KINDS) {
      expect((await api.call(api.partner, 'GET', `/v3/${kind}/${path}/`)).status).toBe(404);
    }
  });
});

describe.each(KINDS)('PATCH /v3/%s/{vendor_data}/', (kind) => {
  it('replaces metadata as a whole, and what it names of the profile', async () => {
    const name = kind === 'users' ? 'full_name' : 'legal_name';
    await create(api.third, kind, { vendor_data: 'changing', [name]: 'First', metadata: { a: 1, b: { c: 2 } } });
    const changed = await api.call(api.third, 'PATCH', at(kind, 'changing'), {
      display_name: 'Shown',
      metadata: { b: 3 },
    });
    expect(changed).toMatchObject({
      status: 200,
      body: { [name]: 'First', display_name: 'Shown', effective_name: 'Shown', status: 'ACTIVE' },
    });
    expect(changed.body['metadata']).toEqual({ b: 3 });
    const cleared = await api.call(api.third, 'PATCH', at(kind, 'changing'), { display_name: null });
    expect(cleared).toMatchObject({ body: { display_name: null, effective_name: 'First' } });
    expect(cleared.body['metadata']).toEqual({ b: 3 });
  });

  it('refuses a wrong status with the sentence of its route', async () => {
    await create(api.third, kind, { vendor_data: 'refusing' });
    expect(await api.call(api.third, 'PATCH', at(kind, 'refusing'), { status: 'INVALID' })).toMatchObject({
      status: 400,
      body: { status: ['"INVALID" is not a valid choice.'] },
    });
    expect(await setStatus(api.third, kind, 'refusing', 'INVALID')).toMatchObject({
      status: 400,
      body: { status: ['Invalid status. Valid options are: ACTIVE, FLAGGED, BLOCKED'] },
    });
    expect(await api.call(api.third, 'PATCH', at(kind, 'refusing', 'update-status'), {})).toMatchObject({
      status: 400,
      body: { status: ['This field is required.'] },
    });
    expect((await read(api.third, kind, 'refusing')).body['status']).toBe('ACTIVE');
  });

  it('refuses a status that is no text without saying it again, however deep it nests', async () => {
    await create(api.third, kind, { vendor_data: 'refusing-deep' });
    for (const [depth, sentence] of [
      [100, 'Not a valid string.'],
      [9_000, 'It nests deeper than 128 levels: flatten it.'],
    ] as const) {
      const deep = `{"status":${'['.repeat(depth)}${']'.repeat(depth)}}`;
      const answer = await api.call(api.third, 'PATCH', at(kind, 'refusing-deep'), deep, {
        'content-type': 'application/json',
      });
      expect(answer).toMatchObject({ status: 400, body: { status: [sentence] } });
    }
  });

  it('loses no change of several at once', async () => {
    await create(api.third, kind, { vendor_data: 'busy' });
    const fields: JsonObject[] =
      kind === 'users'
        ? [{ full_name: 'F' }, { display_name: 'D' }, { date_of_birth: '1990-05-17' }, { metadata: { m: 1 } }]
        : [{ legal_name: 'F' }, { display_name: 'D' }, { country_code: 'ES' }, { metadata: { m: 1 } }];
    await Promise.all(fields.map((field) => api.call(api.third, 'PATCH', at(kind, 'busy'), field)));
    expect((await read(api.third, kind, 'busy')).body).toMatchObject(Object.assign({}, ...fields) as JsonObject);
  });
});

it('a business whose vendor_data is another one’s id is the one that goes by it, for every route', async () => {
  const nameless = await create(api.third, 'businesses', { legal_name: 'Nameless' });
  const id = textOf(nameless, 'didit_internal_id');
  expect((await setStatus(api.third, 'businesses', id, 'FLAGGED')).body).toMatchObject({ legal_name: 'Nameless' });
  await create(api.third, 'businesses', { vendor_data: id, legal_name: 'Named' });
  expect((await read(api.third, 'businesses', id)).body).toMatchObject({ legal_name: 'Named', vendor_data: id });
  const blocked = await setStatus(api.third, 'businesses', id, 'BLOCKED');
  expect(blocked.body).toMatchObject({ legal_name: 'Named', status: 'BLOCKED' });
  const changed = await api.call(api.third, 'PATCH', at('businesses', id), { country_code: 'ES' });
  expect(changed.body).toMatchObject({ legal_name: 'Named', country_code: 'ES' });
  await api.call(api.third, 'POST', '/v3/businesses/delete/', { vendor_data_list: [id] });
  expect((await read(api.third, 'businesses', id)).body).toMatchObject({
    legal_name: 'Nameless',
    status: 'FLAGGED',
    country_code: null,
  });
});

it('a user’s changes are noted, the newest first, and a change of nothing is not', async () => {
  await create(api.third, 'users', { vendor_data: 'noted', full_name: 'Ada', metadata: { a: 1 } });
  await setStatus(api.third, 'users', 'noted', 'BLOCKED');
  await api.call(api.third, 'PATCH', at('users', 'noted'), { metadata: {}, full_name: 'Ada L.' });
  const { body } = await setStatus(api.third, 'users', 'noted', 'BLOCKED');
  const nothing = { comment: null, actor_email: null, actor_name: 'API Client', metadata: null, mentioned_emails: [] };
  expect(body['comments']).toMatchObject([
    {
      ...nothing,
      comment_type: 'PROFILE_UPDATED',
      changed_fields: ['full_name'],
      previous_value: { full_name: 'Ada' },
      new_value: { full_name: 'Ada L.' },
      previous_status: null,
    },
    { ...nothing, comment_type: 'METADATA_UPDATED', previous_value: { a: 1 }, new_value: {}, new_status: null },
    { ...nothing, comment_type: 'STATUS_CHANGED', previous_status: 'ACTIVE', new_status: 'BLOCKED' },
  ]);
});

describe('what sessions say', () => {
  it('is counted over take-in, import and deletion', async () => {
    const brand = await api.newBrand();
    const document = (more: JsonObject) => userDocument({ vendor_data: 'counted', ...more });
    const first = await takeIn(api, brand, document({ created_at: '2025-01-01T00:00:00Z' }));
    await takeIn(api, brand, document({ status: 'Declined', created_at: '2025-03-01T00:00:00Z' }));
    await takeIn(api, brand, document({ status: 'In Progress', created_at: '2025-02-01T00:00:00Z' }));
    const { body } = await read(brand, 'users', 'counted');
    expect(body).toMatchObject({
      session_count: 3,
      approved_count: 1,
      declined_count: 1,
      in_review_count: 0,
      first_session_at: '2025-01-01T00:00:00.000000Z',
      last_session_at: '2025-03-01T00:00:00.000000Z',
    });
    expect(body['last_activity_at']).not.toBeNull();
    const imported = await importAs(brand, 'users', 'counted', false);
    expect(await read(brand, 'users', 'counted')).toMatchObject({
      body: {
        didit_internal_id: body['didit_internal_id'],
        session_count: 4,
        in_review_count: 1,
        last_session_at: imported.body['created_at'],
      },
    });
    for (const id of [first, textOf(imported, 'session_id')]) {
      expect((await api.call(brand, 'DELETE', `/v3/session/${id}/delete/`)).status).toBe(200);
    }
    const after = {
      session_count: 2,
      approved_count: 0,
      in_review_count: 0,
      first_session_at: '2025-02-01T00:00:00.000000Z',
      last_session_at: '2025-03-01T00:00:00.000000Z',
    };
    expect(await read(brand, 'users', 'counted')).toMatchObject({ body: after });
    const list = await api.call(brand, 'GET', '/v3/users/');
    expect(list.body['results']).toMatchObject([{ vendor_data: 'counted', ...after }]);
    // The order of the list rests on the same times.
    const { rows } = await api.database.pool.query(
      'select last_session_at as at from entity where application_id = $1',
      [brand.id],
    );
    expect(rows).toEqual([{ at: new Date('2025-03-01T00:00:00Z') }]);
  });

  it('tells what each feature came to in the newest session that has it', async () => {
    const brand = await api.newBrand();
    await takeIn(
      api,
      brand,
      userDocument({
        vendor_data: 'featured',
        created_at: '2025-01-01T00:00:00Z',
        id_verifications: [{ status: 'Approved', issuing_state: 'ESP' }],
        liveness_checks: [{ status: 'Declined' }],
      }),
    );
    await takeIn(
      api,
      brand,
      userDocument({
        vendor_data: 'featured',
        created_at: '2025-02-01T00:00:00Z',
        status: 'In Review',
        id_verifications: [{ status: 'In Review', issuing_state: 'FRA' }],
        aml_screenings: [{}],
      }),
    );
    const { body } = await read(brand, 'users', 'featured');
    // A check that does not say what it came to has the status of its session.
    expect(body['features']).toEqual({ ID_VERIFICATION: 'In Review', LIVENESS: 'Declined', AML: 'In Review' });
    expect(body['features_list']).toEqual([
      { feature: 'AML', status: 'In Review' },
      { feature: 'ID_VERIFICATION', status: 'In Review' },
      { feature: 'LIVENESS', status: 'Declined' },
    ]);
    // Of approved sessions alone, unless the application says otherwise.
    expect(body['issuing_states']).toEqual(['ESP']);
    const said = await api.call(brand, 'PATCH', at('users', 'featured'), { issuing_states: ['ITA'] });
    expect(said.body['issuing_states']).toEqual(['ITA']);

    await takeIn(api, brand, businessDocument({ vendor_data: 'featured', status: 'IN_REVIEW' }));
    expect(await read(brand, 'businesses', 'featured')).toMatchObject({
      body: { features: { KYB: 'In Review' }, features_list: [{ feature: 'KYB', status: 'In Review' }] },
    });
  });

  it('has the features of its checks, whatever its document says of them', async () => {
    const brand = await api.newBrand();
    await takeIn(api, brand, userDocument({ vendor_data: 'unsaid', features: [] }));
    await takeIn(api, brand, userDocument({ vendor_data: 'more', features: ['AML'], liveness_checks: [{}] }));
    expect((await read(brand, 'users', 'unsaid')).body['features']).toEqual({ ID_VERIFICATION: 'Approved' });
    expect((await read(brand, 'users', 'more')).body['features']).toEqual({
      AML: 'Approved',
      ID_VERIFICATION: 'Approved',
      LIVENESS: 'Approved',
    });
  });

  it('shows the person that it verified, as far as the profile says nothing; an approved one first', async () => {
    const brand = await api.newBrand();
    const session = await takeIn(
      api,
      brand,
      userDocument({
        vendor_data: 'verified',
        created_at: '2025-01-01T00:00:00Z',
        id_verifications: [
          {
            status: 'Approved',
            first_name: 'Ada',
            last_name: 'Lovelace',
            date_of_birth: '1990-05-17',
            issuing_state: 'ESP',
            portrait_image: dataUri('image/jpeg', someFile('image/jpeg')),
          },
        ],
        email_verifications: [
          { status: 'Declined', email: 'old@example.org' },
          { status: 'Approved', email: 'ada@example.org' },
        ],
        phone_verifications: [
          { status: 'Approved', phone_number_prefix: '+34', phone_number: '600000000' },
          { full_number: '+34611111111' },
        ],
      }),
    );
    await takeIn(
      api,
      brand,
      userDocument({
        vendor_data: 'verified',
        created_at: '2025-02-01T00:00:00Z',
        status: 'Declined',
        id_verifications: [{ status: 'Declined', full_name: 'Somebody Else', issuing_state: 'FRA' }],
      }),
    );
    const { body } = await read(brand, 'users', 'verified');
    expect(body).toMatchObject({
      display_name: null,
      full_name: 'Ada Lovelace',
      effective_name: 'Ada Lovelace',
      date_of_birth: '1990-05-17',
      issuing_states: ['ESP'],
      approved_emails: ['ada@example.org'],
      approved_phones: ['+34600000000', '+34611111111'],
    });
    const portrait = new URL(String(body['portrait_image_url']));
    expect(portrait.pathname).toContain(session);
    const file = await api.app.inject(`${portrait.pathname}${portrait.search}`);
    expect([file.statusCode, file.headers['content-type']]).toEqual([200, 'image/jpeg']);
    const list = await api.call(brand, 'GET', '/v3/users/');
    expect(list.body['results']).toMatchObject([{ full_name: 'Ada Lovelace', date_of_birth: '1990-05-17' }]);

    const said = { full_name: 'Ada King', approved_emails: [], display_name: 'Countess' };
    expect((await api.call(brand, 'PATCH', at('users', 'verified'), said)).body).toMatchObject({
      ...said,
      effective_name: 'Countess',
      date_of_birth: '1990-05-17',
      approved_phones: ['+34600000000', '+34611111111'],
    });
    // What is only shown was never said.
    const cleared = await api.call(brand, 'PATCH', at('users', 'verified'), { full_name: null });
    expect(cleared.body).toMatchObject({ full_name: 'Ada Lovelace' });
    expect((cleared.body['comments'] as JsonObject[])[0]).toMatchObject({
      previous_value: { full_name: 'Ada King' },
      new_value: { full_name: null },
    });
  });

  it('shows what it found without an approval only while nothing is approved, and nothing unfinished', async () => {
    const brand = await api.newBrand();
    const take = (status: string, name: string, month: string) =>
      takeIn(
        api,
        brand,
        userDocument({
          vendor_data: 'first',
          created_at: `2025-${month}-01T00:00:00Z`,
          status,
          id_verifications: [{ status, full_name: name, issuing_state: 'ESP' }],
          email_verifications: [{ email: 'unproven@example.org' }],
        }),
      );
    await take('Expired', 'Never Finished', '01');
    expect((await read(brand, 'users', 'first')).body).toMatchObject({ full_name: null, issuing_states: [] });
    await take('Declined', 'Older', '02');
    await take('In Review', 'Newer', '03');
    expect((await read(brand, 'users', 'first')).body).toMatchObject({
      full_name: 'Newer',
      issuing_states: ['ESP'],
      approved_emails: [],
      portrait_image_url: null,
    });
    await take('Approved', 'Oldest', '01');
    expect((await read(brand, 'users', 'first')).body).toMatchObject({
      full_name: 'Oldest',
      approved_emails: ['unproven@example.org'],
    });
  });

  it('shows the company that it verified', async () => {
    const brand = await api.newBrand();
    const company = { legal_name: 'Acme Ltd', registration_number: 'B-77', country_code: 'GB' };
    await takeIn(
      api,
      brand,
      businessDocument({ vendor_data: 'acme', registry_checks: [{ status: 'Approved', company }] }),
    );
    const shown = { ...company, effective_name: 'Acme Ltd' };
    expect((await read(brand, 'businesses', 'acme')).body).toMatchObject(shown);
    expect((await api.call(brand, 'GET', '/v3/businesses/')).body['results']).toMatchObject([shown]);
    const said = await api.call(brand, 'PATCH', at('businesses', 'acme'), { legal_name: 'Acme Trading' });
    expect(said.body).toMatchObject({ ...company, legal_name: 'Acme Trading', effective_name: 'Acme Trading' });
  });

  it('belongs to one that is made later, too', async () => {
    const brand = await api.newBrand();
    await takeIn(api, brand, userDocument({ vendor_data: 'again', created_at: '2025-01-01T00:00:00Z' }));
    await api.call(brand, 'POST', '/v3/users/delete/', { vendor_data_list: ['again'] });
    const answer = await create(brand, 'users', { vendor_data: 'again' });
    expect(answer).toMatchObject({
      status: 201,
      body: { session_count: 1, last_session_at: '2025-01-01T00:00:00.000000Z' },
    });
    expect(namesOf(await api.call(brand, 'GET', '/v3/users/'))).toEqual(['again']);
  });
});

describe.each(KINDS)('GET /v3/%s/', (kind) => {
  it('goes by the newest session, then come those without any', async () => {
    const brand = await api.newBrand();
    for (const [vendorData, month] of [
      ['middle', '02'],
      ['oldest', '01'],
      ['newest', '03'],
    ]) {
      await takeIn(
        api,
        brand,
        document[kind]({ vendor_data: vendorData ?? '', created_at: `2025-${month}-01T00:00:00Z` }),
      );
    }
    await create(brand, kind, { vendor_data: 'none' });
    const all = await api.call(brand, 'GET', `/v3/${kind}/`);
    expect(all).toMatchObject({ status: 200, body: { count: 4, next: null, previous: null } });
    expect(namesOf(all)).toEqual(['newest', 'middle', 'oldest', 'none']);
    const page = await api.call(brand, 'GET', `/v3/${kind}/?limit=2&offset=1`);
    expect(namesOf(page)).toEqual(['middle', 'oldest']);
    expect(page.body['next']).toContain('offset=3');
    await importAs(brand, kind, 'oldest');
    expect(namesOf(await api.call(brand, 'GET', `/v3/${kind}/`))[0]).toBe('oldest');
    expect((await api.call(brand, 'GET', `/v3/${kind}/?limit=101`)).status).toBe(400);
    // Nobody else's, and not the other kind's.
    expect((await api.call(api.third, 'GET', `/v3/${kind}/?limit=100`)).body['results']).not.toContainEqual(
      expect.objectContaining({ vendor_data: 'newest' }),
    );
    const other = kind === 'users' ? 'businesses' : 'users';
    expect((await api.call(brand, 'GET', `/v3/${other}/`)).body['count']).toBe(0);
  });
});

describe.each(KINDS)('POST /v3/%s/delete/', (kind) => {
  const remove = (as: Brand, body: JsonObject, headers?: Record<string, string>) =>
    api.call(as, 'POST', `/v3/${kind}/delete/`, body, headers);

  it('takes away those that are named, and keeps their sessions', async () => {
    const brand = await api.newBrand();
    const session = await takeIn(api, brand, document[kind]({ vendor_data: 'one' }));
    for (const vendorData of ['two', 'three', 'four']) await create(brand, kind, { vendor_data: vendorData });
    await setStatus(brand, kind, 'one', 'BLOCKED');
    const four = textOf(await read(brand, kind, 'four'), 'didit_internal_id');
    expect(await remove(brand, { vendor_data_list: ['one', 'two', 'unknown', 'one'] })).toMatchObject({
      status: 200,
      body: { deleted: 2 },
    });
    expect(await remove(brand, { didit_internal_id_list: [four] })).toMatchObject({ body: { deleted: 1 } });
    expect(namesOf(await api.call(brand, 'GET', `/v3/${kind}/`))).toEqual(['three']);
    expect((await api.call(brand, 'GET', `/v3/session/${session}/decision/`)).status).toBe(200);
    const { rowCount } = await api.database.pool.query('select 1 from entity_comment where application_id = $1', [
      brand.id,
    ]);
    expect(rowCount).toBe(0);
  });

  it('names come before ids, and everything before both', async () => {
    const brand = await api.newBrand();
    for (const vendorData of ['one', 'two', 'three']) await create(brand, kind, { vendor_data: vendorData });
    const two = textOf(await read(brand, kind, 'two'), 'didit_internal_id');
    await remove(brand, { vendor_data_list: ['one'], didit_internal_id_list: [two], delete_all: false });
    expect((await read(brand, kind, 'two')).status).toBe(200);
    expect(await remove(brand, { vendor_data_list: ['two'], delete_all: true })).toMatchObject({
      body: { deleted: 2 },
    });
  });

  it('takes everything away, batch by batch, and nobody else’s or of the other kind', async () => {
    const brand = await api.newBrand();
    const other = kind === 'users' ? 'businesses' : 'users';
    await create(brand, other, { vendor_data: 'stays' });
    await create(api.partner, kind, { vendor_data: 'stays-too' });
    const fill = (n: number) =>
      api.database.pool.query(
        `insert into entity (entity_id, application_id, session_kind, vendor_data)
         select gen_random_uuid(), $1, $2, 'filler-' || n from generate_series(1, $3::int) n`,
        [brand.id, kind === 'users' ? 'user' : 'business', n],
      );
    await fill(2500);
    const once = () => remove(brand, { delete_all: true }, { 'idempotency-key': `all-${kind}` });
    expect(await once()).toMatchObject({ status: 200, body: { deleted: 2500 } });
    await fill(3);
    // The same request says what it did, and does not do it again.
    expect(await once()).toMatchObject({
      status: 200,
      body: { deleted: 2500 },
      headers: { 'idempotent-replayed': 'true' },
    });
    expect((await api.call(brand, 'GET', `/v3/${kind}/`)).body['count']).toBe(3);
    expect((await read(brand, other, 'stays')).status).toBe(200);
    expect((await read(api.partner, kind, 'stays-too')).status).toBe(200);
  });

  it('stops when nobody waits for the answer any longer; the same request goes on with the rest', async () => {
    const brand = await api.newBrand();
    await api.database.pool.query(
      `insert into entity (entity_id, application_id, session_kind, vendor_data)
       select gen_random_uuid(), $1, $2, 'filler-' || n from generate_series(1, 2500) n`,
      [brand.id, kind === 'users' ? 'user' : 'business'],
    );
    const left = async () => {
      const { rows } = await api.database.pool.query<{ count: number }>(
        'select count(*)::int as count from entity where application_id = $1',
        [brand.id],
      );
      return rows[0]?.count;
    };
    const waiting = async () => {
      const { rowCount } = await api.database.pool.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rowCount;
    };
    const holder = await api.database.pool.connect();
    try {
      // In the second of three batches.
      await holder.query('begin');
      await holder.query(
        `select 1 from entity where entity_id =
           (select entity_id from entity where application_id = $1 order by vendor_data offset 1500 limit 1) for update`,
        [brand.id],
      );
      const headers = { 'content-type': 'application/json', 'x-api-key': brand.key, 'idempotency-key': `cut-${kind}` };
      const hungUp = new Promise((resolve) => {
        api.app.server.once('connection', (socket) => socket.once('close', resolve));
      });
      if (!api.app.server.listening) await api.app.listen({ host: '127.0.0.1', port: 0 });
      const { port } = api.app.server.address() as AddressInfo;
      const client = request({ port, method: 'POST', path: `/v3/${kind}/delete/`, headers, agent: false });
      client.on('error', () => undefined);
      client.end(JSON.stringify({ delete_all: true }));
      await expect.poll(waiting, { timeout: 5_000 }).toBe(1);
      client.destroy();
      await hungUp;
    } finally {
      await holder.query('rollback');
      holder.release();
    }
    await expect.poll(left, { timeout: 5_000 }).toBe(500);
    expect(await remove(brand, { delete_all: true }, { 'idempotency-key': `cut-${kind}` })).toMatchObject({
      status: 200,
      body: { deleted: 500 },
    });
  });

  it('refuses to guess', async () => {
    const sentence =
      kind === 'users'
        ? 'Provide vendor_data_list or set delete_all=true.'
        : 'Provide vendor_data_list, didit_internal_id_list, or set delete_all=true.';
    for (const body of [{}, { delete_all: false }, { vendor_data_list: [] }]) {
      expect(await remove(api.third, body)).toMatchObject({ status: 400, body: { detail: [sentence] } });
    }
    expect((await remove(api.third, { didit_internal_id_list: ['x'] })).status).toBe(400);
    expect((await remove(api.third, { delete_all: 'yes' })).status).toBe(400);
  });
});

describe('a blocked one', () => {
  it.each(KINDS)('among %s keeps imports out until it is unblocked; one’s own records go in', async (kind) => {
    const brand = await api.newBrand();
    await create(brand, kind, { vendor_data: 'barred', status: 'BLOCKED' });
    const refused = await importAs(brand, kind, 'barred');
    expect(refused).toMatchObject({ status: 403, body: { code: 'entity_blocked', field: 'vendor_data' } });
    await takeIn(api, brand, document[kind]({ vendor_data: 'barred' }));
    expect((await read(brand, kind, 'barred')).body).toMatchObject({ status: 'BLOCKED', session_count: 1 });
    expect((await importAs(brand, kind, 'another')).status).toBe(201);
    await setStatus(brand, kind, 'barred', 'FLAGGED');
    expect((await importAs(brand, kind, 'barred')).status).toBe(201);
    // A plain change blocks as well.
    await api.call(brand, 'PATCH', at(kind, 'barred'), { status: 'BLOCKED' });
    expect((await importAs(brand, kind, 'barred')).status).toBe(403);
  });

  it('keeps an acknowledgement out, and a business whose person it is', async () => {
    const brand = await api.newBrand();
    const person = await takeIn(api, api.issuer, userDocument({ vendor_data: 'officer' }));
    const business = await takeIn(
      api,
      api.issuer,
      businessDocument({
        key_people_checks: [
          { status: 'Approved', registry: { officers: [{ name: 'Officer', kyc_session_id: person }] } },
        ],
      }),
    );
    const opened = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
      session_id: business,
      for_application_id: brand.id,
    });
    const tokenId = textOf(opened, 'token_id');
    await handoffTenants(api.tenants, testSealer, testBlindIndex).acrossTenants('onboarding', (tx) =>
      mintForOnboarding(tx, tokenId, 1),
    );
    const acknowledge = () => api.call(brand, 'POST', `/v1/onboardings/${tokenId}/acknowledge/`, { accept: true });
    const officer = `${api.issuer.id}:officer`;
    await create(brand, 'users', { vendor_data: officer });
    await setStatus(brand, 'users', officer, 'BLOCKED');
    expect(await acknowledge()).toMatchObject({ status: 403, body: { code: 'entity_blocked', field: 'vendor_data' } });
    await setStatus(brand, 'users', officer, 'ACTIVE');
    expect((await acknowledge()).status).toBe(200);
  });
});

describe('who', () => {
  it.each(KINDS)('is no other application, and no key without the privilege for %s', async (kind) => {
    await create(api.partner, kind, { vendor_data: 'private' });
    const before = await read(api.partner, kind, 'private');
    for (const answer of [
      await read(api.third, kind, 'private'),
      await api.call(api.third, 'PATCH', at(kind, 'private'), { status: 'BLOCKED' }),
      await setStatus(api.third, kind, 'private', 'BLOCKED'),
    ]) {
      expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
    }
    const ids = { didit_internal_id_list: [textOf(before, 'didit_internal_id')] };
    expect(await api.call(api.third, 'POST', `/v3/${kind}/delete/`, ids)).toMatchObject({ body: { deleted: 0 } });
    expect((await read(api.partner, kind, 'private')).body).toEqual(before.body);

    const other = kind === 'users' ? 'businesses' : 'users';
    const readOnly = await api.newKey(api.partner, { [kind]: 'read' });
    const none = await api.newKey(api.partner, { [other]: 'write' });
    expect((await api.call(readOnly, 'GET', at(kind, 'private'))).status).toBe(200);
    for (const [key, method, url] of [
      [none, 'GET', `/v3/${kind}/`],
      [none, 'GET', at(kind, 'private')],
      [readOnly, 'POST', `/v3/${kind}/create/`],
      [readOnly, 'PATCH', at(kind, 'private')],
      [readOnly, 'PATCH', at(kind, 'private', 'update-status')],
      [readOnly, 'POST', `/v3/${kind}/delete/`],
    ] as const) {
      const answer = await api.call(key, method, url, method === 'GET' ? undefined : {});
      expect(answer).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
    }
  });
});

function nested(levels: number): JsonObject {
  let value: JsonObject = {};
  for (let level = 0; level < levels; level += 1) value = { value };
  return value;
}
