import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { SANDBOX_SCENARIOS } from '../../src/domain/sandbox/scenarios.ts';
import { isFinished } from '../../src/domain/session-status.ts';
import { shiftClock, resetClock } from '../support/database.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { takeIn } from './documents.ts';
import { statusEvents } from './session-events.ts';

const api = testApi();
const CREATE = '/v3/session/';
const KINDS = ['user', 'business'] as const;

const create = (as: Brand, body: JsonObject = {}, headers?: Record<string, string>) =>
  api.call(as, 'POST', CREATE, { workflow_id: as.workflows.user, ...body }, headers);
const decision = async (as: Brand, sessionId: string) =>
  (await api.call(as, 'GET', `/v3/session/${sessionId}/decision/`)).body;
const share = (as: Brand, sessionId: string, to: Brand) =>
  api.call(as, 'POST', `/v3/session/${sessionId}/share/`, { for_application_id: to.id });
const redeem = (as: Brand, token: string, kind: 'user' | 'business') =>
  api.call(as, 'POST', '/v3/session/import-shared/', {
    share_token: token,
    workflow_id: as.workflows[kind],
    trust_review: true,
  });
const customer = () => `customer-${randomUUID()}`;
const upper = (status: string) => status.toUpperCase().replaceAll(' ', '_');
const items = (body: JsonObject, name: string) => (body[name] ?? []) as JsonObject[];

/** Everybody whom the key people's check of a decision names. */
function peopleOf(body: JsonObject): JsonObject[] {
  return items(body, 'key_people_checks').flatMap((check) => {
    const registry = check['registry'] as { officers: JsonObject[]; beneficial_owners: JsonObject[] };
    return [...registry.officers, ...registry.beneficial_owners];
  });
}

describe('POST /v3/session/', () => {
  it('makes a session that waits for its customer, with the owner’s settings at home', async () => {
    const vendor_data = customer();
    const made = await create(api.issuer, {
      vendor_data,
      callback: 'myapp://verified',
      metadata: { tier: 'a', deep: [1, { two: null }] },
      language: 'pt-BR',
      contact_details: { email: 'sam@example.com', phone: '+44 7700 900123', send_notification_emails: true },
      expected_details: {
        first_name: 'Sam',
        nationality: 'gbr',
        expected_document_types: ['p', 'P'],
        company_name: 'X',
      },
      ignored_by_didit_too: true,
    });
    expect(made).toMatchObject({
      status: 201,
      body: {
        session_kind: 'user',
        vendor_data,
        metadata: { tier: 'a', deep: [1, { two: null }] },
        status: 'Not Started',
        workflow_id: api.issuer.workflows.user,
        workflow_version: 1,
        callback: 'myapp://verified',
      },
    });
    const token = textOf(made, 'session_token');
    expect(token).toMatch(/^[\w-]{12}$/);
    expect(made.body['url']).toBe(`http://localhost:8080/pt-BR/session/${token}`);
    const stored = await decision(api.issuer, textOf(made, 'session_id'));
    expect(stored).toMatchObject({
      status: 'Not Started',
      session_url: made.body['url'],
      metadata: made.body['metadata'],
      callback: 'myapp://verified',
      contact_details: {
        email: 'sam@example.com',
        email_lang: 'en',
        send_notification_emails: true,
        phone: '+447700900123',
      },
      expected_details: { first_name: 'Sam', nationality: 'GBR', expected_document_types: ['P'] },
      id_verifications: [],
    });
    expect(stored['expected_details']).not.toHaveProperty('company_name');
    expect(stored).not.toHaveProperty('session_token');
    const { rows } = await api.database.pool.query<{ days: number; session_type: string; entities: number }>(
      `select extract(epoch from expires_at - created_at) / 86400 as days, session_type,
         (select count(*)::int from entity where vendor_data = s.vendor_data) as entities
       from session s where session_id = $1`,
      [made.body['session_id']],
    );
    expect(rows).toEqual([{ days: expect.anything(), session_type: 'HOSTED', entities: 1 }]);
    expect(Number(rows[0]?.days)).toBeCloseTo(7, 4);
    expect(await statusEvents(api, textOf(made, 'session_id'))).toEqual([]);
  });

  it('is found by the address of its customer, who is nobody else’s', async () => {
    const found = async (as: Brand, search: string, kind: string) =>
      (await api.call(as, 'GET', `/v3/sessions/?session_kind=${kind}&search=${encodeURIComponent(search)}`)).body[
        'count'
      ];
    for (const [kind, more] of [
      ['user', {}],
      ['user', { sandbox_scenario: 'approved' }],
      ['business', {}],
    ] as const) {
      const email = `${customer()}@example.com`;
      const workflow_id = api.issuer.workflows[kind];
      const made = await create(api.issuer, { workflow_id, contact_details: { email }, ...more });
      expect(made.status).toBe(201);
      expect(await found(api.issuer, email.toUpperCase(), kind)).toBe(1);
      expect(await found(api.third, email, kind)).toBe(0);
    }
  });

  it('has an address that tells whoever opens it that there is no flow, and nothing of the session', async () => {
    const made = await create(api.issuer, { language: 'pt-BR', vendor_data: customer() });
    const own = new URL(textOf(made, 'url')).pathname;
    const [mine, plain, unknown] = await Promise.all(
      [own, `/session/${textOf(made, 'session_token')}/`, '/session/nobody-has/'].map((url) =>
        api.call(null, 'GET', url),
      ),
    );
    expect(mine).toMatchObject({ status: 200, body: { detail: expect.stringContaining('/sandbox/arm/') } });
    expect([plain?.body, unknown?.body]).toEqual([mine?.body, mine?.body]);
    expect(await api.call(null, 'GET', '/xx/session/nobody-has/')).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
  });

  it('takes a workflow of either kind, by a version’s id too, and its expiry', async () => {
    const workflow = await api.call(api.third, 'POST', '/v3/workflows/', {
      features: [{ feature: 'KYB_REGISTRY' }],
      session_expiration_time: 3600,
    });
    const uuid = textOf(workflow, 'uuid');
    const next = await api.call(api.third, 'PATCH', `/v3/workflows/${uuid}/`, {
      status: 'published',
      workflow_label: 'Second',
    });
    const version = textOf(next, 'uuid');
    expect(version).not.toBe(uuid);
    for (const [workflow_id, workflow_version] of [
      [version, 2],
      [uuid, 2],
      [uuid.toUpperCase(), 2],
    ]) {
      expect(await create(api.third, { workflow_id: workflow_id ?? '' })).toMatchObject({
        status: 201,
        body: { workflow_id: uuid, workflow_version, session_kind: 'business', status: 'NOT_STARTED' },
      });
    }
    const { rows } = await api.database.pool.query<{ hours: number }>(
      'select distinct extract(epoch from expires_at - created_at)::int / 3600 as hours from session where workflow_id = $1',
      [uuid],
    );
    expect(rows).toEqual([{ hours: 1 }]);
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no workflow', undefined, 'workflow_id', /required/],
    ['an unknown workflow', 'wf_unknown', 'workflow_id', /Invalid workflow_id/],
    ['another’s workflow', 'partner', 'workflow_id', /Invalid workflow_id/],
    ['an unknown scenario', { sandbox_scenario: 'fly' }, 'sandbox_scenario', /'fly'.*approved, declined/],
    ['an unknown language', { language: 'xx' }, 'language', /Must be one of/],
    ['a bad address', { contact_details: { email: 'nobody' } }, 'contact_details.email', /valid email/],
    ['an address without country', { expected_details: { address: 'Here' } }, 'expected_details.address', /country/],
    ['a long country', { expected_details: { nationality: 'ESPA' } }, 'expected_details.nationality', /./],
    ['no day', { expected_details: { date_of_birth: '1990-02-30' } }, 'expected_details.date_of_birth', /day/],
    [
      'no document type',
      { expected_details: { expected_document_types: ['Q'] } },
      'expected_details.expected_document_types.0',
      /./,
    ],
    ['no address of a machine', { expected_details: { ip_address: '1.2.3' } }, 'expected_details.ip_address', /IP/],
    ['a portrait that is none', { portrait_image: 'aGVsbG8gd29ybGQh' }, 'portrait_image', /JPEG, PNG/],
    ['a portrait of 3 MB', { portrait_image: `/9j/${'A'.repeat(4_000_000)}` }, 'portrait_image', /exceeds 2MB/],
    ['long metadata', { metadata: { text: 'x'.repeat(40_000) } }, 'metadata', /32768/],
    ['a blank customer', { vendor_data: '' }, 'vendor_data', /blank/],
  ])('refuses %s', async (_what, given, field, sentence) => {
    const body =
      typeof given === 'object' && given !== null
        ? { workflow_id: api.issuer.workflows.user, ...given }
        : { workflow_id: given === 'partner' ? api.partner.workflows.user : given };
    const before = await api.rows();
    const answer = await api.call(api.issuer, 'POST', CREATE, body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(String((answer.body[field] as string[])[0])).toMatch(sentence);
    expect(await api.rows()).toEqual(before);
  });

  it('takes a portrait, and keeps none of it', async () => {
    const png = 'iVBORw0KGgoAAAANSUhEUgAAACAAAAAUAgMAAACR';
    const made = await create(api.issuer, { portrait_image: png });
    expect(made.status).toBe(201);
    const { rows } = await api.database.pool.query<{ payload: Buffer }>(
      'select payload from session_home where session_id = $1',
      [made.body['session_id']],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]?.payload.includes(png)).toBe(false);
  });

  it('refuses a blocked customer, whether new or with an unfinished session', async () => {
    const vendor_data = customer();
    expect((await create(api.issuer, { vendor_data })).status).toBe(201);
    await api.database.pool.query(`update entity set status = 'BLOCKED' where vendor_data = $1`, [vendor_data]);
    for (const more of [{}, { sandbox_scenario: 'approved' }]) {
      const answer = await create(api.issuer, { vendor_data, ...more });
      expect(answer.status).toBe(400);
      expect(String((answer.body['vendor_data'] as string[])[0])).toMatch(/blocked/);
    }
    // The same name as a business is another entity.
    const business = { vendor_data, workflow_id: api.issuer.workflows.business };
    expect((await create(api.issuer, business)).status).toBe(201);
  });

  it('needs a key with the privilege', async () => {
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect(await api.call(reader, 'POST', CREATE, {})).toMatchObject({ status: 403 });
    expect(await api.call(null, 'POST', CREATE, {})).toMatchObject({ status: 401 });
  });

  it('answers one session again under one Idempotency-Key, in the status that it has by then', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const first = await create(api.issuer, { sandbox_scenario: 'approved' }, key);
    const sessionId = textOf(first, 'session_id');
    await api.call(api.issuer, 'PATCH', `/v3/session/${sessionId}/update-status/`, { new_status: 'Declined' });
    const rows = await api.rows();
    const second = await create(api.issuer, { sandbox_scenario: 'approved' }, key);
    expect(second).toMatchObject({ status: 201, body: { ...first.body, status: 'Declined' } });
    expect(second.headers).toMatchObject({ 'idempotent-replayed': 'true' });
    const { media_object: _noted, ...rest } = await api.rows();
    const { media_object: _before, ...before } = rows;
    expect(rest).toEqual(before);
    await api.call(api.issuer, 'DELETE', `/v3/session/${sessionId}/delete/`);
    expect(await create(api.issuer, { sandbox_scenario: 'approved' }, key)).toMatchObject({
      status: 404,
      body: { code: 'resource_deleted' },
    });
  });
});

describe('a customer who comes again', () => {
  it('gets the unfinished session, with the new callback and metadata', async () => {
    const vendor_data = customer();
    const first = await create(api.issuer, { vendor_data, callback: 'https://a.example/', metadata: { n: 1 } });
    const second = await create(api.issuer, { vendor_data, metadata: { n: 2 } });
    expect(second).toMatchObject({
      status: 201,
      body: { ...first.body, callback: null, metadata: { n: 2 } },
    });
    expect(await decision(api.issuer, textOf(first, 'session_id'))).toMatchObject({
      callback: null,
      metadata: { n: 2 },
    });
    const other = await create(api.issuer, { vendor_data: customer() });
    expect(other.body['session_id']).not.toBe(first.body['session_id']);
  });

  it('gets a new one when the earlier is finished, expired, or on another workflow or version', async () => {
    const vendor_data = customer();
    const ids = new Set<unknown>();
    const next = async (more: JsonObject = {}) => {
      const made = await create(api.third, { vendor_data, ...more });
      expect(made.status).toBe(201);
      return made.body['session_id'];
    };
    ids.add(await next({ sandbox_scenario: 'approved' }));
    ids.add(await next());
    await shiftClock(api.database.pool, '8 days');
    try {
      ids.add(await next());
    } finally {
      await resetClock(api.database.pool);
    }
    ids.add(await next({ workflow_id: api.third.workflows.business }));
    expect(ids.size).toBe(4);
    // The youngest of this workflow.
    expect(ids).toContain(await next());
    const done = await next({ sandbox_scenario: 'in_progress' });
    expect(await next()).toBe(done);
  });

  it('gets one session when the calls come all at once', async () => {
    const vendor_data = customer();
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, n) => create(api.issuer, { vendor_data, metadata: n })),
    );
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(made.map(({ body }) => body['session_id'])).size).toBe(1);
    expect(new Set(made.map(({ body }) => body['session_token'])).size).toBe(1);
  });
});

describe.each(KINDS)('a simulated %s session', (kind) => {
  const end = (slug: string, as: Brand = api.issuer) =>
    create(as, { workflow_id: as.workflows[kind], vendor_data: customer(), sandbox_scenario: slug });
  const written = (status: string) => (kind === 'business' ? upper(status) : status);

  it.each(SANDBOX_SCENARIOS)('$slug ends as $status', async ({ slug, status }) => {
    const made = await end(slug);
    expect(made).toMatchObject({ status: 201, body: { status: written(status), session_kind: kind } });
    const sessionId = textOf(made, 'session_id');
    const body = await decision(api.issuer, sessionId);
    expect(body).toMatchObject({ status: written(status), session_url: made.body['url'] });
    const [event, ...more] = await statusEvents(api, sessionId);
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      status: written(status),
      session_id: sessionId,
      workflow_version: 1,
      environment: 'sandbox',
    });
    const told = ['Approved', 'Declined', 'In Review', 'Abandoned'].includes(status);
    expect(event !== undefined && 'decision' in event).toBe(told);
    expect(event !== undefined && 'resubmit_info' in event).toBe(status === 'Resubmitted');
    if (told)
      expect(event?.['decision']).toMatchObject({ session_id: sessionId, session_number: body['session_number'] });

    const first = kind === 'user' ? 'id_verifications' : 'registry_checks';
    expect(items(body, first)).toHaveLength(status === 'Expired' ? 0 : 1);
    const people = peopleOf(body);
    for (const { kyc_session_id, kyc_status } of people.filter((person) => person['kyc_session_id'] !== null)) {
      expect(await decision(api.issuer, String(kyc_session_id))).toMatchObject({
        session_kind: 'user',
        status: kyc_status,
      });
    }

    const minted = await share(api.issuer, sessionId, api.partner);
    if (!isFinished(status)) {
      expect(minted).toMatchObject({ status: 400, body: { code: 'session_not_finished' } });
      return;
    }
    const imported = await redeem(api.partner, textOf(minted, 'share_token'), kind);
    expect(imported).toMatchObject({
      status: 201,
      body: { status: written(status), shared_from_session: sessionId, session_url: null, callback: null },
    });
    const named = people.map((person) => person['kyc_session_id']);
    const clones = peopleOf(imported.body).map((person) => person['kyc_session_id']);
    expect(clones.map((id) => typeof id)).toEqual(named.map((id) => typeof id));
    expect(clones.filter((id) => named.includes(id))).toEqual([]);
  });

  it('shows its files to whoever holds it, each by links of their own', async () => {
    const made = await end('approved');
    const minted = await share(api.issuer, textOf(made, 'session_id'), api.partner);
    const imported = await redeem(api.partner, textOf(minted, 'share_token'), kind);
    const links = (body: JsonObject) => [...JSON.stringify(body).matchAll(/"(http[^"]*\/v1\/media\/[^"]*)"/g)];
    const own = links(await decision(api.issuer, textOf(made, 'session_id')));
    expect(own.length).toBeGreaterThan(0);
    expect(links(imported.body)).toHaveLength(own.length);
    for (const [, link = ''] of [...own, ...links(imported.body)]) {
      const { pathname, search } = new URL(link);
      const file = await api.app.inject({ method: 'GET', url: pathname + search });
      expect(file.statusCode).toBe(200);
      expect(file.headers['content-type']).toBe('image/png');
    }
  });
});

describe('simulations', () => {
  it('run the checks of the verification workflow, in its order', async () => {
    const features = ['OCR', 'NFC', 'LIVENESS', 'FACE_MATCH', 'DATABASE_VALIDATION', 'DOCUMENT_AI', 'QUESTIONNAIRE'];
    const workflow = await api.call(api.issuer, 'POST', '/v3/workflows/', {
      features: features.map((feature) => ({ feature })),
    });
    const made = await create(api.issuer, { workflow_id: textOf(workflow, 'uuid'), sandbox_scenario: 'approved' });
    const body = await decision(api.issuer, textOf(made, 'session_id'));
    expect(body['features']).toEqual([
      'ID_VERIFICATION',
      'NFC',
      'LIVENESS',
      'FACE_MATCH',
      'DATABASE_VALIDATION',
      'DOCUMENT_AI',
      'QUESTIONNAIRE',
    ]);
    for (const name of ['nfc_verifications', 'document_ai_documents', 'questionnaires', 'database_validations']) {
      expect(items(body, name)).toMatchObject([{ status: 'Approved' }]);
    }
    expect(body['aml_screenings']).toEqual([]);
  });

  it('name what went wrong', async () => {
    const statuses = new Set<unknown>();
    for (let n = 0; n < 6; n += 1) {
      const made = await create(api.issuer, { sandbox_scenario: 'declined' });
      const body = await decision(api.issuer, textOf(made, 'session_id'));
      const checks = Object.values(body).flatMap((value) => (Array.isArray(value) ? (value as JsonObject[]) : []));
      const bad = checks.filter((check) => check['status'] === 'Declined');
      expect(bad.length).toBeGreaterThan(0);
      for (const check of bad) expect(items(check, 'warnings')).toMatchObject([{ log_type: 'error' }]);
      statuses.add(bad[0]?.['node_id']);
    }
    expect(statuses.size).toBeGreaterThan(1);
    const expired = await create(api.issuer, { sandbox_scenario: 'kyc_expired' });
    const [document] = items(await decision(api.issuer, textOf(expired, 'session_id')), 'id_verifications');
    expect(String(document?.['expiration_date']) < new Date().toISOString()).toBe(true);
  });

  it('are for sandbox applications only', async () => {
    const live = await api.newBrand('live');
    const answer = await create(live, { sandbox_scenario: 'approved' });
    expect(answer).toMatchObject({ status: 400, body: { sandbox_scenario: [expect.stringMatching(/live/)] } });
    expect((await create(live)).status).toBe(201);
  });
});

describe('POST /v3/session/{id}/sandbox/arm/', () => {
  const arm = (made: Answer, scenario: unknown, token?: string | null, headers: Record<string, string> = {}) =>
    api.call(
      null,
      'POST',
      `/v3/session/${textOf(made, 'session_id')}/sandbox/arm/`,
      { scenario },
      token === null ? headers : { 'session-token': token ?? textOf(made, 'session_token'), ...headers },
    );

  it.each(KINDS)('carries a scenario out on a %s session that was not started, by its token', async (kind) => {
    const made = await create(api.issuer, { workflow_id: api.issuer.workflows[kind], metadata: { keep: 1 } });
    const sessionId = textOf(made, 'session_id');
    const label = { new_status: null, comment: 'Before it began' };
    await api.call(api.issuer, 'POST', `/v3/sessions/${sessionId}/reviews/`, label);
    const written = kind === 'business' ? 'IN_REVIEW' : 'In Review';
    const armed = await arm(made, 'in_review');
    expect(armed).toMatchObject({
      status: 200,
      body: { session_id: sessionId, scenario: 'in_review', status: written },
    });
    expect(await decision(api.issuer, sessionId)).toMatchObject({
      status: written,
      metadata: { keep: 1 },
      session_number: made.body['session_number'],
      reviews: [{ comment: 'Before it began' }],
    });
    expect(await statusEvents(api, sessionId)).toMatchObject([{ status: written }]);
    const minted = await share(api.issuer, sessionId, api.partner);
    expect((await redeem(api.partner, textOf(minted, 'share_token'), kind)).status).toBe(201);
    expect(await arm(made, 'approved')).toMatchObject({
      status: 400,
      body: { scenario: [expect.stringMatching(/before the verification starts/)] },
    });
  });

  it('refuses other tokens, unknown scenarios and live sessions', async () => {
    const [made, other] = [await create(api.issuer), await create(api.issuer)];
    for (const token of [null, 'nothing', textOf(other, 'session_token')]) {
      expect(await arm(made, 'approved', token)).toMatchObject({
        status: 401,
        body: { code: 'authentication_failed' },
      });
    }
    expect(await arm(made, 'fly')).toMatchObject({
      status: 400,
      body: { scenario: [expect.stringMatching(/Unknown/)] },
    });
    expect(await arm(made, undefined)).toMatchObject({ status: 400, body: { scenario: ['This field is required.'] } });
    const live = await create(await api.newBrand('live'));
    expect(await arm(live, 'approved')).toMatchObject({ status: 400, body: { scenario: [expect.anything()] } });
    const malformed = await api.call(null, 'POST', '/v3/session/nothing/sandbox/arm/', {});
    expect(malformed).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
  });

  it('happens once, however many ask at once, and again only as a replay', async () => {
    const made = await create(api.issuer);
    const key = { 'idempotency-key': randomUUID() };
    const all = await Promise.all(['approved', 'declined', 'in_review'].map((slug) => arm(made, slug)));
    expect(all.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 400, 400]);
    expect(await statusEvents(api, textOf(made, 'session_id'))).toHaveLength(1);
    const second = await create(api.issuer);
    expect((await arm(second, 'approved', undefined, key)).status).toBe(200);
    const replay = await arm(second, 'approved', undefined, key);
    expect(replay).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } });
  });
});

it('GET /v1/sandbox/scenarios/ lists them', async () => {
  const answer = await api.call(api.issuer, 'GET', '/v1/sandbox/scenarios/');
  expect(answer.body['scenarios']).toHaveLength(SANDBOX_SCENARIOS.length);
  const [first] = answer.body['scenarios'] as JsonObject[];
  expect(first).toMatchObject({ slug: 'approved', status: 'Approved', session_kinds: ['user', 'business'] });
  expect(await api.call(null, 'GET', '/v1/sandbox/scenarios/')).toMatchObject({ status: 401 });
});

it('GET /system/healthcheck needs no key', async () => {
  const answer = await api.call(null, 'GET', '/system/healthcheck');
  expect(answer).toMatchObject({ status: 200, body: { status: 'ok' } });
  expect(textOf(answer, 'timestamp')).toMatch(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
});

it('a session that was taken in has no token to arm it by', async () => {
  const sessionId = await takeIn(api, api.issuer);
  const answer = await api.call(null, 'POST', `/v3/session/${sessionId}/sandbox/arm/`, { scenario: 'approved' });
  expect(answer.status).toBe(401);
});
