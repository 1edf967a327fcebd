import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { businessDocument, mint, sample, takeIn, userDocument } from './documents.ts';

const api = testApi();
const ALL = '/v3/sessions/';

const rowsOf = (answer: Answer) => answer.body['results'] as JsonObject[];
const countOf = (answer: Answer) => answer.body['count'];

async function list(as: Brand, query: Record<string, string> = {}): Promise<Answer> {
  const answer = await api.call(as, 'GET', `${ALL}?${new URLSearchParams(query).toString()}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer;
}

const person = (changes: JsonObject, document: JsonObject = {}): JsonObject =>
  userDocument({ id_verifications: [{ status: 'Approved', ...document }], ...changes });

const company = (changes: JsonObject, facts: JsonObject = {}): JsonObject =>
  businessDocument({ registry_checks: [{ status: 'Approved', company: facts }], ...changes });

describe('filters', () => {
  let brand: Brand;
  const ids: Record<string, string> = {};
  const update = (name: string, assignment: string, ...values: unknown[]) =>
    api.database.pool.query(`update session set ${assignment} where session_id = $1`, [ids[name], ...values]);
  const versionId = randomUUID();

  /** Names of the sessions that a query finds, the newest first; the count has to agree. */
  async function found(query: Record<string, string>): Promise<string[]> {
    const answer = await list(brand, query);
    const names = rowsOf(answer).map((row) => Object.keys(ids).find((name) => ids[name] === row['session_id']) ?? '?');
    expect(countOf(answer)).toBe(names.length);
    return names;
  }

  beforeAll(async () => {
    brand = await api.newBrand();
    const other = await api.newBrand();
    const take = async (name: string, document: JsonObject) => {
      ids[name] = await takeIn(api, brand, document);
      // Another application holds the same, and none of it ever shows.
      await takeIn(api, other, document);
    };
    await take(
      'ada',
      person(
        {
          vendor_data: 'crm-ada',
          created_at: '2026-03-01T23:30:00Z',
          email_verifications: [{ status: 'Approved', email: 'Ada@Example.test' }],
          aml_screenings: [{ status: 'Approved', screened_data: { full_name: 'Ada Lovelace' } }],
        },
        {
          first_name: 'Ada',
          last_name: 'Lovelace',
          full_name: 'Ada  Lovelace',
          document_number: 'X-100 200',
          document_type: 'Identity Card',
          issuing_state: 'ESP',
          extra_fields: { full_name_non_latin: 'Άντα Λάβλεϊς' },
          warnings: [{ risk: 'QR_NOT_DETECTED' }, { risk: 'DATA_INCONSISTENT' }],
        },
      ),
    );
    await take(
      'bob',
      person(
        { vendor_data: '4242', status: 'Declined', created_at: '2026-03-02T00:00:00Z' },
        { full_name: 'Bob Ray', document_number: '700100', document_type: 'PASSPORT', issuing_state: 'GBR' },
      ),
    );
    await take(
      'cy',
      person(
        { vendor_data: 'cy@crm.test', status: 'In Review', created_at: '2026-03-03T12:00:00Z' },
        { full_name: 'Cy Young', document_type: 'Library Card', issuing_state: 'FRA' },
      ),
    );
    await take(
      'acme',
      company(
        {
          vendor_data: 'crm-ada',
          created_at: '2026-03-02T10:00:00Z',
          key_people_checks: [{ status: 'Approved', registry: { officers: [{ name: 'Grace Hopper' }] } }],
        },
        {
          company_name: 'Acme Trading Ltd',
          registration_number: '00041700',
          country_code: 'GB',
          email: 'office@acme.test',
        },
      ),
    );
    await take(
      'zeta',
      company(
        {
          vendor_data: 'biz-zeta',
          status: 'IN_REVIEW',
          aml_screenings: [{ status: 'In Review', warnings: [{ risk: 'POSSIBLE_MATCH_FOUND' }] }],
          created_at: '2026-03-04T10:00:00Z',
        },
        { company_name: 'Zeta', country_code: 'FR' },
      ),
    );
    await update('bob', `session_type = 'HOSTED', first_status = 'In Review'`);
    await update('ada', 'workflow_id = $2', brand.workflows.user);
    await update('bob', 'workflow_id = $2, workflow_version = 2', brand.workflows.user);
    await update('acme', 'workflow_id = $2', brand.workflows.business);
    await api.database.pool.query(
      `insert into verification_workflow_version (version_id, workflow_id, application_id, version, status, label)
       values ($1, $2, $3, 2, 'published', 'second')`,
      [versionId, brand.workflows.user, brand.id],
    );
  });

  it.each<[Record<string, string>, string[]]>([
    [{}, ['cy', 'bob', 'ada']],
    [{ session_kind: 'BUSINESS' }, ['zeta', 'acme']],
    [{ session_kind: 'all' }, ['zeta', 'acme', 'cy', 'bob', 'ada']],
    [{ session_kind: '', status: '', search: '', limit: '50' }, ['cy', 'bob', 'ada']],
    [{ unknown: 'filter' }, ['cy', 'bob', 'ada']],

    [{ status: 'Approved' }, ['ada']],
    [{ status: 'DECLINED,In Review' }, ['cy', 'bob']],
    [{ status: 'IN_REVIEW', session_kind: 'all' }, ['zeta', 'cy']],
    [{ status: 'approved' }, []],
    [{ status: 'approved,Declined' }, ['bob']],

    [{ vendor_data: 'crm-ada', session_kind: 'all' }, ['acme', 'ada']],
    [{ vendor_data: 'crm-ad' }, []],

    [{ search: 'ada lovelace' }, ['ada']],
    [{ search: ' ADA   LOVELACE ' }, ['ada']],
    [{ search: 'lovelace' }, ['ada']],
    [{ search: 'lovelac' }, []],
    [{ search: 'άντα λάβλεϊς' }, ['ada']],
    [{ search: 'x100200' }, ['ada']],
    [{ search: '700100' }, ['bob']],
    [{ search: '700-100' }, ['bob']],
    [{ search: '4242' }, ['bob']],
    [{ search: 'ada@example.TEST' }, ['ada']],
    [{ search: 'cy@crm.test' }, ['cy']],
    [{ search: 'crm-ada', session_kind: 'all' }, ['acme', 'ada']],
    [{ search: 'acme trading ltd', session_kind: 'business' }, ['acme']],
    [{ search: 'office@acme.test', session_kind: 'business' }, ['acme']],
    [{ search: '00041700', session_kind: 'business' }, ['acme']],
    [{ search: 'acme trading ltd' }, []],
    [{ search: 'grace hopper', session_kind: 'all' }, []],
    [{ search: '9'.repeat(40) }, []],

    [{ date_from: '2026-03-02' }, ['cy', 'bob']],
    [{ date_to: '2026-03-01' }, ['ada']],
    [{ date_from: '2026-03-02', date_to: '2026-03-02', session_kind: 'all' }, ['acme', 'bob']],

    [{ country: 'esp, GBR' }, ['bob', 'ada']],
    [{ country: 'GB', session_kind: 'all' }, ['acme']],
    [{ document_type: 'ID,P' }, ['bob', 'ada']],
    [{ document_type: 'OTHER' }, ['cy']],
    [{ document_type: 'ID', session_kind: 'business' }, []],
    [{ document_name: 'identity card' }, ['ada']],
    [{ document_name: 'Library Card' }, []],
    [{ document_name: 'Passport', document_type: 'ID' }, []],
    [{ warning: 'DATA_INCONSISTENT' }, ['ada']],
    [{ warning: 'POSSIBLE_MATCH_FOUND,QR_NOT_DETECTED', session_kind: 'all' }, ['zeta', 'ada']],
    [{ organization_name: 'zeta,ACME trading ltd', session_kind: 'business' }, ['zeta', 'acme']],
    [{ organization_name: 'zeta', session_kind: 'all' }, ['zeta']],
    [{ organization_name: 'zeta' }, []],
    [{ session_type: 'HOSTED' }, ['bob']],
    [{ session_type: 'MIGRATED,API' }, ['cy', 'ada']],
    [{ session_type: 'ALL' }, ['cy', 'bob', 'ada']],
    [{ screened_full_name: 'ada lovelace' }, ['ada']],
    [{ screened_full_name: 'Bob Ray' }, []],
    [{ status_initialized_as_in_review: 'true' }, ['cy', 'bob']],
    [{ status_initialized_as_in_review: 'False' }, ['ada']],
    [{ is_kyc_to_be_reviewed: '1', session_kind: 'all' }, ['cy']],
    [{ is_kyc_to_be_reviewed: 'false', session_kind: 'all' }, ['zeta', 'acme', 'bob', 'ada']],

    [{ region: 'EUROPE' }, []],
    [{ api_service: 'AML' }, []],
    [{ euuid: randomUUID() }, []],
    [{ didit_internal_id: randomUUID() }, []],
    [{ workflow_id: 'no-uuid' }, []],
    [{ country: 'ESP', status: 'Declined' }, []],
    [{ country: 'GBR', status: 'Declined', search: 'bob ray', date_from: '2026-03-01' }, ['bob']],
  ])('%j finds %j', async (query, names) => {
    expect(await found(query)).toEqual(names);
  });

  it('by ids: of a session, a number, a workflow or a version of it, a user or business', async () => {
    expect(await found({ search: (ids['ada'] ?? '').toUpperCase() })).toEqual(['ada']);
    expect(await found({ search: ids['acme'] ?? '' })).toEqual([]);
    expect(await found({ search: '2', session_kind: 'all' })).toEqual(['zeta', 'bob']);
    expect(await found({ workflow_id: `${brand.workflows.user},x` })).toEqual(['bob', 'ada']);
    expect(await found({ workflow_id: versionId.toUpperCase() })).toEqual(['bob']);
    expect(await found({ workflow_id: `${versionId},${brand.workflows.business}`, session_kind: 'all' })).toEqual([
      'acme',
      'bob',
    ]);
    await api.database.pool.query(
      `insert into entity (entity_id, application_id, session_kind, vendor_data)
       select gen_random_uuid(), $1, 'business', 'crm-ada' on conflict do nothing`,
      [brand.id],
    );
    const { rows } = await api.database.pool.query<{ entity_id: string }>(
      `select entity_id from entity where application_id = $1 and session_kind = 'business' and vendor_data = 'crm-ada'`,
      [brand.id],
    );
    expect(await found({ didit_internal_id: rows[0]?.entity_id ?? '', session_kind: 'all' })).toEqual(['acme']);
  });

  it('finds none of another application by any of its ids', async () => {
    for (const search of [ids['ada'] ?? '', brand.workflows.user]) {
      expect(countOf(await list(api.third, { search, session_kind: 'all' }))).toBe(0);
    }
    expect(countOf(await list(api.third, { workflow_id: `${brand.workflows.user},${versionId}` }))).toBe(0);
  });

  it.each<[string, string, string]>([
    ['session_kind=person', 'session_kind', 'Must be "user", "business", or "all".'],
    ['date_from=2026-02-30', 'date_from', 'Enter a valid date.'],
    ['date_to=yesterday', 'date_to', 'Enter a valid date.'],
    ['didit_internal_id=12', 'didit_internal_id', 'Enter a valid UUID.'],
    ['euuid=12', 'euuid', 'Enter a valid UUID.'],
    ['api_service=FOO', 'api_service', 'Select a valid choice. FOO is not one of the available choices.'],
    ['is_kyc_to_be_reviewed=maybe', 'is_kyc_to_be_reviewed', 'Must be a valid boolean: true or false.'],
    ['limit=0', 'limit', 'Ensure this value is greater than or equal to 1.'],
    ['limit=101', 'limit', 'Ensure this value is less than or equal to 100.'],
    ['is_kyc_to_be_reviewed=constructor', 'is_kyc_to_be_reviewed', 'Must be a valid boolean: true or false.'],
    [
      'status_initialized_as_in_review=__proto__',
      'status_initialized_as_in_review',
      'Must be a valid boolean: true or false.',
    ],
    ['limit=-1', 'limit', 'Ensure this value is greater than or equal to 1.'],
    ['limit=1000000000000', 'limit', 'Ensure this value is less than or equal to 100.'],
    ['limit=ten', 'limit', 'A valid integer is required.'],
    ['offset=-1', 'offset', 'Ensure this value is greater than or equal to 0.'],
    ['status=Approved&status=Declined', 'status', 'Give it once.'],
    ['search=a%00b', 'search', 'Null characters are not allowed.'],
  ])('refuses %s', async (query, field, sentence) => {
    expect(await api.call(brand, 'GET', `${ALL}?${query}`)).toMatchObject({
      status: 400,
      body: { [field]: [sentence], code: 'invalid_request' },
    });
  });
});

describe('rows', () => {
  it('show a person, and a company with its workflow', async () => {
    const brand = await api.newBrand();
    const [personId, companyId] = [
      await takeIn(api, brand, sample('kyc-approved')),
      await takeIn(api, brand, sample('kyb-approved')),
    ];
    await api.database.pool.query('update session set workflow_id = $2 where session_id = $1', [
      companyId,
      brand.workflows.business,
    ]);
    const [row] = rowsOf(await list(brand));
    expect(row).toMatchObject({
      session_id: personId,
      session_kind: 'user',
      session_number: 1,
      document_type: 'Identity Card',
      full_name: 'Zoë Marisol Ferrándiz Ibáñez',
      country: 'ESP',
      status: 'Approved',
      vendor_data: 'crm-0417',
      phone_number: { number: '+447700900417', is_verified: true },
      email_address: { email: 'zoe.ferrandiz@example.com', is_verified: true },
      additional_details: { poa: { issuer: expect.any(String) as string } },
    });
    expect(row?.['features']).toContainEqual({ feature: 'AML', status: 'Approved' });
    expect(row?.['features']).not.toContainEqual(expect.objectContaining({ feature: 'DOCUMENT_AI' }));
    expect(rowsOf(await list(brand, { session_kind: 'business' }))).toEqual([
      {
        session_id: companyId,
        session_kind: 'business',
        session_number: 1,
        status: 'APPROVED',
        vendor_data: 'merchant-0417',
        created_at: expect.stringMatching(/Z$/) as string,
        workflow_id: brand.workflows.business,
        workflow_type: 'kyb',
        workflow_label: 'business',
        company_name: 'Quillmere Sample Holdings Ltd',
        registration_number: '00041700',
        country: 'GB',
      },
    ]);
  });

  it('have all their keys, also of sessions that say nothing', async () => {
    const brand = await api.newBrand();
    await takeIn(api, brand, { session_kind: 'user', status: 'Declined', id_verifications: [{ status: 'Declined' }] });
    await takeIn(api, brand, { session_kind: 'business', status: 'DECLINED', registry_checks: [{}] });
    expect(rowsOf(await list(brand, { session_kind: 'all' }))).toEqual([
      expect.objectContaining({ company_name: null, registration_number: null, country: null, workflow_type: null }),
      expect.objectContaining({
        session_url: null,
        portrait_image: null,
        document_type: null,
        full_name: null,
        country: null,
        vendor_data: null,
        didit_internal_id: null,
        features: [{ feature: 'ID_VERIFICATION', status: 'Declined' }],
        phone_number: null,
        email_address: null,
        additional_details: null,
      }),
    ]);
  });
});

describe('pages', () => {
  it('walk every session once while others are added and taken away', async () => {
    const brand = await api.newBrand();
    const first: string[] = [];
    for (let index = 0; index < 7; index += 1) first.push(await takeIn(api, brand));
    const gone = first.splice(6, 1)[0] ?? '';
    expect((await api.call(brand, 'DELETE', `/v3/session/${gone}/delete/`)).status).toBe(200);
    const seen: unknown[] = [];
    let next: unknown = `${ALL}?limit=2`;
    for (let page = 0; typeof next === 'string'; page += 1) {
      const url = new URL(next, 'http://localhost');
      const answer = await api.call(brand, 'GET', `${url.pathname}${url.search}`);
      expect(answer.status).toBe(200);
      expect(countOf(answer)).toBe(6 + Math.min(page, 3));
      expect(rowsOf(answer).length).toBeLessThanOrEqual(2);
      seen.push(...rowsOf(answer).map((row) => row['session_id']));
      next = answer.body['next'];
      if (page < 3) await takeIn(api, brand);
    }
    // A session that is added pushes the others back: one may be seen twice, none is left out.
    expect([...new Set(seen)]).toEqual(first.toReversed());
  });

  it('state absolute neighbours that keep the filters, with one count of both kinds', async () => {
    const brand = await api.newBrand();
    for (let index = 0; index < 2; index += 1) {
      await takeIn(api, brand);
      await takeIn(api, brand, businessDocument());
    }
    const answer = await list(brand, { session_kind: 'all', status: 'Approved', limit: '1', offset: '1' });
    expect(answer.body).toMatchObject({
      count: 4,
      next: expect.stringMatching(/^http:.*status=Approved.*offset=2$/) as string,
      previous: expect.stringMatching(/^http:.*offset=0$/) as string,
    });
    expect(rowsOf(answer)).toMatchObject([{ session_kind: 'user', session_number: 2 }]);
    const without = await api.call(brand, 'GET', '/v3/sessions?session_kind=all&offset=9');
    expect(without).toMatchObject({ status: 200, body: { count: 4, next: null, results: [] } });
    expect((without.body['previous'] as string).includes('offset=0')).toBe(true);
  });
});

describe('an import', () => {
  it('is found in the importer’s application by the importer’s own terms', async () => {
    const [issuer, partner] = [await api.newBrand(), await api.newBrand()];
    const source = await takeIn(api, issuer, sample('kyc-approved'));
    const token = await mint(api, issuer, source, partner);
    const search = { search: 'zoë marisol ferrándiz ibáñez' };
    expect(countOf(await list(partner, search))).toBe(0);
    const imported = await api.call(partner, 'POST', '/v3/session/import-shared/', {
      share_token: token,
      workflow_id: partner.workflows.user,
      vendor_data: 'partner-1',
      trust_review: false,
    });
    expect(imported.status).toBe(201);
    const clone = textOf(imported, 'session_id');
    for (const query of [
      search,
      { search: 'zoe.ferrandiz@example.com' },
      { search: 'bxx-041791' },
      { country: 'ESP', document_type: 'ID', warning: 'BREACHED_EMAIL_DETECTED' },
      { workflow_id: partner.workflows.user, status: 'In Review', status_initialized_as_in_review: 'true' },
    ]) {
      const answer = await list(partner, query);
      expect(rowsOf(answer), JSON.stringify(query)).toMatchObject([{ session_id: clone, vendor_data: 'partner-1' }]);
    }
    expect(rowsOf(await list(partner))[0]).toMatchObject({
      full_name: 'Zoë Marisol Ferrándiz Ibáñez',
      session_url: null,
    });
    // Neither side finds the other's session, and no term of one is a term of the other.
    expect(rowsOf(await list(issuer, search))).toMatchObject([{ session_id: source }]);
    expect(countOf(await list(partner, { search: 'crm-0417' }))).toBe(0);
    expect(countOf(await list(partner, { search: source }))).toBe(0);
    const { rows } = await api.database.pool.query<{ terms: number; shared: number }>(
      `select count(*)::int as terms, count(other.term)::int as shared from session_search own
       left join session_search other on other.term = own.term and other.session_id = $2 where own.session_id = $1`,
      [clone, source],
    );
    expect(rows[0]?.terms).toBeGreaterThan(3);
    expect(rows[0]?.shared).toBe(0);
  });
});

it('needs a key that may read sessions', async () => {
  const [without, reader] = [
    await api.newKey(api.issuer, { webhooks: 'write' }),
    await api.newKey(api.issuer, { sessions: 'read' }),
  ];
  expect(await api.call(without, 'GET', ALL)).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
  expect((await api.call(null, 'GET', ALL)).status).toBe(401);
  expect((await api.call(reader, 'GET', ALL)).status).toBe(200);
});
