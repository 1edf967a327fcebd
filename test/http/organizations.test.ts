import { describe, expect, it } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { testApi, textOf } from './api.ts';
import { mint, takeIn, userDocument } from './documents.ts';
import { FOR_PEOPLE, newIdempotencyKey, newPerson, type Person } from './people.ts';

const api = testApi(FOR_PEOPLE);
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
const NOT_FOUND = { status: 404, body: { code: 'not_found' } };
const organizationOf = ({ organizationId }: Person) => `/auth/v2/organizations/me/${organizationId}/`;
const applicationsOf = (person: Person) => `${organizationOf(person)}applications/`;
const brandOf = ({ applicationId, apiKey }: { applicationId: string; apiKey: string }) => ({
  id: applicationId,
  key: apiKey,
  keyId: apiKey.split('_')[2] ?? '',
  workflows: { user: '', business: '' },
});

describe('organizations', () => {
  it('are listed, read and renamed by their own people', async () => {
    const person = await newPerson(api);
    const [first] = (await person.call('GET', '/auth/v2/organizations/me/')).body as unknown as object[];
    const expected = { uuid: person.organizationId, name: 'My organization', contact_email: person.email };
    expect(first).toMatchObject(expected);
    const path = organizationOf(person);
    expect(await person.call('GET', path)).toMatchObject({ status: 200, body: expected });
    const renamed = await person.call('PATCH', path, { name: 'Aurora', contact_email: 'eve@x.example' });
    expect(renamed).toMatchObject({ status: 200, body: { ...expected, name: 'Aurora' } });
    expect((await person.call('PATCH', path, {})).body).toEqual(renamed.body);
    expect((await person.call('GET', path.slice(0, -1))).body).toEqual(renamed.body);
    expect((await person.call('PATCH', path, { name: '' })).body).toHaveProperty('name');
  });
});

describe('another organization', () => {
  it.each([
    ['GET', '/'],
    ['PATCH', '/'],
    ['GET', '/applications/'],
    ['POST', '/applications/'],
    ['GET', '/applications/:app/'],
    ['PATCH', '/applications/:app/'],
    ['DELETE', '/applications/:app/'],
    ['GET', '/applications/:app/api-keys/'],
    ['POST', '/applications/:app/api-keys/'],
    ['GET', '/applications/:app/api-keys/:key/'],
    ['PATCH', '/applications/:app/api-keys/:key/'],
    ['DELETE', '/applications/:app/api-keys/:key/'],
  ] as const)('does not exist: %s %s', async (method, path) => {
    const [person, other] = [await newPerson(api), await newPerson(api)];
    const keyId = other.apiKey.split('_')[2] ?? '';
    const url = (organization: string, application: string) =>
      `/auth/v2/organizations/me/${organization}${path.replace(':app', application).replace(':key', keyId)}`;
    const body = method === 'POST' || method === 'PATCH' ? { name: 'Mine', privileges: {} } : undefined;
    const ids = [
      [other.organizationId, other.applicationId],
      [UNKNOWN, other.applicationId],
      ['no-id', other.applicationId],
    ];
    // Another's application under one's own organization, where the path names one.
    if (path.includes(':app')) ids.push([person.organizationId, other.applicationId], [person.organizationId, 'no-id']);
    const before = await api.rows();
    for (const [organization = '', application = ''] of ids) {
      expect(await person.call(method, url(organization, application), body)).toMatchObject(NOT_FOUND);
    }
    expect(await api.rows()).toEqual(before);
    expect((await other.call('GET', other.application())).body).toMatchObject({ name: 'My application' });
    expect((await api.call(other.apiKey, 'GET', '/v1/onboardings/')).status).toBe(200);
  });
});

describe('applications', () => {
  it('are created ready for use, with a key that is shown once', async () => {
    const person = await newPerson(api);
    const details = {
      website_url: 'https://aurora.example',
      redirect_uris: ['https://aurora.example/callback', 'http://localhost:3000/'],
      terms_url: 'https://aurora.example/terms',
      privacy_url: null,
      description: 'Our bank',
    };
    const body = { name: 'Aurora Bank', ...details, unknown: 1 };
    const created = await person.call('POST', applicationsOf(person), body);
    expect(created).toMatchObject({ status: 201, body: { name: 'Aurora Bank', environment: 'sandbox', ...details } });
    const key = textOf(created, 'api_key');
    const workflows = await api.database.pool.query(
      'select 1 from verification_workflow where application_id = $1 and is_default',
      [created.body['uuid']],
    );
    expect(workflows.rowCount).toBe(2);
    expect((await api.call(key, 'POST', '/v1/sessions/', userDocument())).status).toBe(201);
    const read = await person.call('GET', person.application(textOf(created, 'uuid')));
    expect(read.body).toEqual({ ...created.body, api_key: null });
  });

  it('need no more than nothing, and may be live', async () => {
    const person = await newPerson(api);
    const plain = await person.call('POST', applicationsOf(person), {});
    expect(plain).toMatchObject({ status: 201, body: { name: 'My organization App', redirect_uris: [] } });
    const live = await person.call('POST', applicationsOf(person), { environment: 'live' });
    expect(live.body).toMatchObject({ environment: 'live', api_key: expect.stringMatching(/^hnd_live_/) as string });
    const list = await person.call('GET', `${applicationsOf(person)}?limit=2`);
    expect(list.body).toMatchObject({ count: 3, previous: null });
    expect((list.body['results'] as { uuid: string }[]).map(({ uuid }) => uuid)).toEqual([
      person.applicationId,
      plain.body['uuid'],
    ]);
    expect(list.body['next']).toContain('offset=2');
    expect((await person.call('GET', `${applicationsOf(person)}?limit=0`)).status).toBe(400);
  });

  it.each([
    ['name', ''],
    ['name', 7],
    ['name', 'x'.repeat(256)],
    ['environment', 'production'],
    ['website_url', 'aurora.example'],
    ['website_url', 'javascript:alert(1)'],
    ['terms_url', 'ftp://aurora.example'],
    ['privacy_url', 'https://'],
    ['redirect_uris', 'https://aurora.example'],
    ['redirect_uris', Array.from({ length: 101 }, () => 'https://aurora.example')],
    ['description', 'x'.repeat(2001)],
  ])('refuse %s: %j', async (field, value) => {
    const person = await newPerson(api);
    for (const [method, path] of [
      ['POST', applicationsOf(person)],
      ['PATCH', person.application()],
    ] as const) {
      const { status, body } = await person.call(method, path, { [field]: value });
      expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'invalid_request' });
      expect(Object.keys(body)).toContain(field);
    }
  });

  it('are changed member by member', async () => {
    const person = await newPerson(api);
    const path = person.application();
    const before = (await person.call('GET', path)).body;
    const change = { website_url: 'https://aurora.example', redirect_uris: ['https://aurora.example/a'] };
    expect((await person.call('PATCH', path, change)).body).toEqual({ ...before, ...change });
    const back = { website_url: null, description: '', name: 'Aurora' };
    expect((await person.call('PATCH', path, back)).body).toEqual({ ...before, ...change, ...back });
  });

  it('change their environment for what is made from then on', async () => {
    const person = await newPerson(api);
    const brand = brandOf(person);
    const earlier = await takeIn(api, brand);
    expect((await person.call('PATCH', person.application(), { environment: 'live' })).body['environment']).toBe(
      'live',
    );
    const later = await takeIn(api, brand);
    const { rows } = await api.database.pool.query<{ environment: string }>(
      'select environment from session where session_id = any ($1) order by array_position($1, session_id)',
      [[earlier, later]],
    );
    expect(rows.map(({ environment }) => environment)).toEqual(['sandbox', 'live']);
  });

  it('created twice under one Idempotency-Key are one', async () => {
    const person = await newPerson(api);
    const headers = newIdempotencyKey();
    const create = () => person.call('POST', applicationsOf(person), { name: 'Once' }, headers);
    const first = await create();
    const rows = await api.rows();
    const second = await create();
    expect(second.body).toEqual({ ...first.body, api_key: null, secret_replayed: true });
    expect(second.headers).toMatchObject({ 'idempotent-replayed': 'true' });
    expect(await api.rows()).toEqual(rows);
    await person.call('DELETE', person.application(textOf(first, 'uuid')));
    expect(await create()).toMatchObject({ status: 404, body: { code: 'resource_deleted' } });
    // Somebody else's key of the same text is another one.
    const other = await newPerson(api);
    expect((await other.call('POST', applicationsOf(other), { name: 'Once' }, headers)).status).toBe(201);
  });
});

describe('a deleted application', () => {
  it('is gone for its organization', async () => {
    const person = await newPerson(api);
    const path = person.application();
    expect((await person.call('DELETE', path)).status).toBe(204);
    for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
      expect(await person.call(method, path, method === 'PATCH' ? {} : undefined)).toMatchObject(NOT_FOUND);
    }
    expect((await person.call('GET', applicationsOf(person))).body).toMatchObject({ count: 0, results: [] });
  });

  it('lets its keys read, and neither share, import nor write', async () => {
    const person = await newPerson(api);
    const brand = brandOf(person);
    const sessionId = await takeIn(api, brand);
    const token = await mint(api, brand, sessionId, api.partner);
    const receivable = await mint(api, api.issuer, await takeIn(api, api.issuer), brand);
    await person.call('DELETE', person.application());
    // Keys are remembered for a second.
    await sleep(1_000);

    const deleted = { status: 403, body: { code: 'application_deleted' } };
    expect((await api.call(brand, 'GET', `/v3/session/${sessionId}/decision/`)).status).toBe(200);
    const ourSession = await takeIn(api, api.issuer);
    const to = (id: string) => ({ for_application_id: id });
    const refused = [
      api.call(brand, 'POST', `/v3/session/${sessionId}/share/`, to(api.partner.id)),
      api.call(brand, 'POST', '/v1/onboardings/', { session_id: sessionId, ...to(api.partner.id) }),
      api.call(api.issuer, 'POST', `/v3/session/${ourSession}/share/`, to(brand.id)),
      api.call(api.issuer, 'POST', '/v1/onboardings/', { session_id: ourSession, ...to(brand.id) }),
      api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token }),
      api.call(brand, 'POST', '/v3/session/import-shared/', { share_token: receivable }),
      api.call(brand, 'POST', '/v1/sessions/', userDocument()),
      api.call(brand, 'POST', '/v1/connections/', { partner_application_id: api.partner.id }),
      api.call(brand, 'DELETE', `/v3/session/${sessionId}/delete/`),
      api.call(brand, 'POST', '/v3/webhook/destinations/', {}),
    ];
    for (const answer of refused) expect(await answer).toMatchObject(deleted);
    // The contract's order: what is wrong before the deletion is said before it.
    expect(await api.call(brand, 'POST', '/v3/session/import-shared/', { share_token: 'x' })).toMatchObject({
      status: 401,
      body: { code: 'share_token_invalid' },
    });
    expect(await api.call(brand, 'POST', `/v3/session/${UNKNOWN}/share/`, to(api.partner.id))).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    });
  });
});
