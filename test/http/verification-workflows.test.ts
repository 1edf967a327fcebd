import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const api = testApi();
const ALL = '/v3/workflows/';
const KYC = [{ feature: 'OCR' }, { feature: 'LIVENESS' }, { feature: 'FACE_MATCH' }];
const KYB = [{ feature: 'KYB_REGISTRY' }, { feature: 'KYB_KEY_PEOPLE' }];

const create = (as: Brand, more: JsonObject = {}) => api.call(as, 'POST', ALL, { features: KYC, ...more });
const at = (uuid: string) => `${ALL}${uuid}/`;

/** Imports a new session of the issuer into a brand under this workflow. */
async function importUnder(to: Brand, workflow?: string, kind: 'user' | 'business' = 'user') {
  const document = kind === 'user' ? userDocument() : businessDocument();
  const token = await mint(api, api.issuer, await takeIn(api, api.issuer, document), to);
  return api.call(to, 'POST', '/v3/session/import-shared/', {
    share_token: token,
    ...(workflow !== undefined && { workflow_id: workflow }),
  });
}

async function versionOf(sessionId: string): Promise<number | undefined> {
  const { rows } = await api.database.pool.query<{ version: number }>(
    'select workflow_version as version from session where session_id = $1',
    [sessionId],
  );
  return rows[0]?.version;
}

describe('POST /v3/workflows/', () => {
  it('makes a published workflow with Didit’s defaults', async () => {
    const answer = await create(api.third);
    expect(answer).toMatchObject({
      status: 201,
      body: {
        workflow_label: 'ID Verification',
        workflow_type: 'kyc',
        is_default: false,
        is_archived: false,
        total_price: 0,
        features: 'OCR + LIVENESS + FACE_MATCH',
        max_retry_attempts: 3,
        retry_window_days: 7,
        session_expiration_time: 604_800,
        face_liveness_max_attempts: 3,
        version: 1,
        status: 'published',
        has_draft: false,
        created_by: { name: 'all', email: null, type: 'api_key' },
        feature_configs: KYC.map(({ feature }) => ({ feature, config: {}, label: null })),
      },
    });
    const uuid = textOf(answer, 'uuid');
    expect(answer.body['workflow_id']).toBe(uuid);
    expect(textOf(answer, 'workflow_url')).toMatch(new RegExp(`/v3/workflows/${uuid}/$`));
    expect(await api.call(api.third, 'GET', at(uuid))).toMatchObject({ status: 200, body: answer.body });
  });

  it('keeps what it was given', async () => {
    const given = {
      workflow_label: 'Company check',
      features: [{ feature: 'KYB_REGISTRY', config: { countries: ['GB'] }, label: 'Register' }, { feature: 'OCR' }],
      is_white_label_enabled: true,
      is_desktop_allowed: true,
      max_retry_attempts: 0,
      retry_window_days: null,
      face_liveness_max_attempts: 1,
      face_match_max_attempts: 2,
      session_expiration_time: 3600,
    };
    const { status, body } = await create(api.third, given);
    const { features, ...rest } = given;
    expect(status).toBe(201);
    expect(body).toMatchObject({ ...rest, workflow_type: 'kyb', features: 'KYB_REGISTRY + OCR' });
    expect(body['feature_configs']).toEqual(features.map((step) => ({ config: {}, label: null, ...step })));
  });

  it.each([
    [{ features: undefined }, 'features', 'This field is required.'],
    [{ features: [] }, 'features', 'At least one feature is required.'],
    [{ features: 'OCR' }, 'features', 'Must be a list of features.'],
    [{ features: [{ feature: 'FOO' }] }, 'features', /^Invalid feature 'FOO'\. Allowed values: OCR, NFC, LIVENESS,/],
    [
      { features: [{ feature: 'FACE_MATCH' }, { feature: 'OCR' }] },
      'features',
      "Feature 'FACE_MATCH' must appear after one of: OCR.",
    ],
    [{ features: [{ feature: 'AML' }] }, 'features', "Feature 'AML' cannot be the first feature."],
    [
      { features: [{ feature: 'KYB_KEY_PEOPLE' }] },
      'features',
      "Feature 'KYB_KEY_PEOPLE' cannot be the first feature.",
    ],
    [{ features: [{ feature: 'OCR', config: [] }] }, 'features.0.config', 'Must be an object.'],
    [{ features: [{}] }, 'features.0.feature', 'This field is required.'],
    [{ workflow_type: 'kyc' }, 'workflow_type', 'Unknown field: remove it.'],
    [{ workflow_label: 'l'.repeat(51) }, 'workflow_label', 'Ensure this field has no more than 50 characters.'],
    [{ max_retry_attempts: 11 }, 'max_retry_attempts', 'Ensure this value is less than or equal to 10.'],
    [{ retry_window_days: 0 }, 'retry_window_days', 'Ensure this value is greater than or equal to 1.'],
    [{ face_match_max_attempts: '2' }, 'face_match_max_attempts', 'A valid integer is required.'],
    [{ session_expiration_time: 60 }, 'session_expiration_time', /greater than or equal to 3600\.$/],
    [{ status: 'archived' }, 'status', 'Must be one of: draft, published.'],
    [{ status: 'draft', is_default: true }, 'is_default', 'A draft cannot be the default: publish it.'],
  ])('refuses %j on %s', async (wrong, field, sentence) => {
    const before = await api.rows();
    const answer = await create(api.third, wrong as unknown as JsonObject);
    expect(answer.status).toBe(400);
    expect(answer.body['code']).toBe('invalid_request');
    const [first] = answer.body[field] as string[];
    expect(first).toEqual(typeof sentence === 'string' ? sentence : expect.stringMatching(sentence));
    expect(await api.rows()).toEqual(before);
  });

  it('is one for each Idempotency-Key, also when it has been deleted', async () => {
    const brand = await api.newBrand();
    const once = () => api.call(brand, 'POST', ALL, { features: KYC }, { 'idempotency-key': 'one-workflow' });
    const first = await once();
    const again = await once();
    expect(again).toMatchObject({ status: 201, body: first.body, headers: { 'idempotent-replayed': 'true' } });
    expect((await api.call(brand, 'DELETE', at(textOf(first, 'uuid')))).status).toBe(204);
    expect(await once()).toMatchObject({ status: 404, body: { code: 'resource_deleted' } });
  });

  it('stops at 50, however many come at once', async () => {
    const brand = await api.newBrand();
    const fill = `insert into verification_workflow (workflow_id, application_id, label, session_kind)
      select gen_random_uuid(), $1, 'filler', 'user' from generate_series(1, 46)`;
    await api.database.pool.query(fill, [brand.id]);
    const answers = await Promise.all(Array.from({ length: 6 }, () => create(brand)));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 201, 400, 400, 400, 400]);
    const refused = answers.find(({ status }) => status === 400);
    expect(refused?.body['detail']).toEqual([expect.stringContaining('at most 50')]);
  });
});

describe('the default', () => {
  it('is one for each kind, whoever asks at once', async () => {
    const brand = await api.newBrand();
    const users = await Promise.all(Array.from({ length: 5 }, () => create(brand, { is_default: true })));
    expect(users.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    const { body } = await api.call(brand, 'GET', ALL);
    const defaults = (body['results'] as JsonObject[]).filter((row) => row['is_default'] === true);
    expect(defaults.map((row) => String(row['workflow_type'])).sort()).toEqual(['kyb', 'kyc']);
    const [business] = defaults.filter((row) => row['workflow_type'] === 'kyb');
    expect(business?.['uuid']).toBe(brand.workflows.business);
  });

  it('is what an import without workflow_id goes under, until it is none', async () => {
    const brand = await api.newBrand();
    const made = textOf(await create(brand, { is_default: true }), 'uuid');
    expect(await importUnder(brand)).toMatchObject({ status: 201, body: { workflow_id: made } });
    const change = await api.call(brand, 'PATCH', at(made), { is_default: false });
    expect(change).toMatchObject({ status: 200, body: { is_default: false } });
    const refused = await importUnder(brand);
    expect(refused.status).toBe(400);
    expect(Object.keys(refused.body)).toEqual(['workflow_id', 'code']);
  });
});

describe('versions', () => {
  it('are made by publishing a published one; sessions note the stable id and their version', async () => {
    const brand = await api.newBrand();
    const first = textOf(await create(brand, { workflow_label: 'one' }), 'uuid');
    const next = await api.call(brand, 'PATCH', at(first), {
      status: 'published',
      workflow_label: 'two',
      features: [{ feature: 'OCR' }],
    });
    expect(next).toMatchObject({
      status: 200,
      body: { workflow_id: first, version: 2, workflow_label: 'two', features: 'OCR', status: 'published' },
    });
    const second = textOf(next, 'uuid');
    expect(second).not.toBe(first);
    // The first stays as it was.
    expect(await api.call(brand, 'GET', at(first))).toMatchObject({ body: { version: 1, workflow_label: 'one' } });

    const stable = await importUnder(brand, first);
    const named = await importUnder(brand, second.toUpperCase());
    expect([stable.body['workflow_id'], named.body['workflow_id']]).toEqual([first, first]);
    expect(await versionOf(textOf(stable, 'session_id'))).toBe(2);
    expect(await versionOf(textOf(named, 'session_id'))).toBe(2);

    // Publishing an older one again makes the newest.
    const third = await api.call(brand, 'PATCH', at(first), { status: 'published' });
    expect(third).toMatchObject({ body: { workflow_id: first, version: 3, workflow_label: 'one' } });
    expect(await versionOf(textOf(await importUnder(brand, second), 'session_id'))).toBe(2);
    expect(await versionOf(textOf(await importUnder(brand, first), 'session_id'))).toBe(3);
  });

  it('can be published at once without two having one number', async () => {
    const brand = await api.newBrand();
    const first = textOf(await create(brand), 'uuid');
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => api.call(brand, 'PATCH', at(first), { status: 'published' })),
    );
    expect(answers.map(({ body }) => Number(body['version'])).sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6]);
  });

  it('change in place without a status', async () => {
    const brand = await api.newBrand();
    const uuid = textOf(await create(brand, { max_retry_attempts: 5 }), 'uuid');
    const changed = await api.call(brand, 'PATCH', at(uuid), { workflow_label: 'renamed', retry_window_days: null });
    expect(changed).toMatchObject({
      status: 200,
      body: { uuid, version: 1, workflow_label: 'renamed', retry_window_days: null, max_retry_attempts: 5 },
    });
    expect(await api.call(brand, 'PATCH', at(uuid), { status: 'draft' })).toMatchObject({
      status: 400,
      body: { status: ['Cannot revert a published version to draft.'] },
    });
    const otherKind = await api.call(brand, 'PATCH', at(uuid), { features: KYB });
    expect(otherKind.status).toBe(400);
    expect(Object.keys(otherKind.body)).toEqual(['features', 'code']);
    const unknown = await api.call(brand, 'PATCH', at(uuid), { workflow_graph: {} });
    expect(unknown).toMatchObject({ status: 400, body: { workflow_graph: ['Unknown field: remove it.'] } });
  });
});

describe('a draft', () => {
  it('is used by nothing until it is published', async () => {
    const brand = await api.newBrand();
    const draft = await create(brand, { status: 'draft' });
    expect(draft).toMatchObject({ status: 201, body: { status: 'draft', has_draft: true, published_at: null } });
    const uuid = textOf(draft, 'uuid');
    expect(await importUnder(brand, uuid)).toMatchObject({ status: 404, body: { code: 'workflow_not_found' } });
    const proposal = await api.call(api.issuer, 'POST', '/v1/connections/', { partner_application_id: brand.id });
    const connection = `/v1/connections/${textOf(proposal, 'connection_id')}/`;
    const takeDefault = () => api.call(brand, 'PATCH', connection, { default_workflows: { user: uuid } });
    expect((await takeDefault()).status).toBe(400);

    const kept = await api.call(brand, 'PATCH', at(uuid), { status: 'draft', workflow_label: 'soon' });
    expect(kept).toMatchObject({ status: 200, body: { uuid, status: 'draft', workflow_label: 'soon' } });
    expect((await api.call(brand, 'PATCH', at(uuid), { status: 'draft', is_default: true })).status).toBe(400);
    expect(await importUnder(brand, uuid)).toMatchObject({ status: 404 });

    const published = await api.call(brand, 'PATCH', at(uuid), { is_default: true });
    expect(published).toMatchObject({
      status: 200,
      body: { uuid, version: 1, status: 'published', has_draft: false, is_default: true },
    });
    expect(await importUnder(brand, uuid)).toMatchObject({ status: 201, body: { workflow_id: uuid } });
    expect((await takeDefault()).status).toBe(200);
  });
});

describe('a connection', () => {
  it('takes a version’s uuid for its default, and says the stable id', async () => {
    const brand = await api.newBrand();
    const first = textOf(await create(brand), 'uuid');
    const second = textOf(await api.call(brand, 'PATCH', at(first), { status: 'published' }), 'uuid');
    const proposal = await api.call(api.issuer, 'POST', '/v1/connections/', { partner_application_id: brand.id });
    const connection = `/v1/connections/${textOf(proposal, 'connection_id')}/`;
    const active = { status: 'active', default_workflows: { user: second } };
    expect(await api.call(brand, 'PATCH', connection, active)).toMatchObject({
      status: 200,
      body: { default_workflows: { user: first, business: null } },
    });
    expect(await importUnder(brand)).toMatchObject({ status: 201, body: { workflow_id: first } });
    // Gone with its last version: the application's own default takes its place.
    for (const uuid of [first, second]) expect((await api.call(brand, 'DELETE', at(uuid))).status).toBe(204);
    expect(await importUnder(brand)).toMatchObject({ status: 201, body: { workflow_id: brand.workflows.user } });
  });
});

describe('deleting', () => {
  it('takes one version; the workflow goes with the last, and sessions keep its id', async () => {
    const brand = await api.newBrand();
    const first = textOf(await create(brand, { is_default: true }), 'uuid');
    const second = textOf(await api.call(brand, 'PATCH', at(first), { status: 'published' }), 'uuid');
    const session = textOf(await importUnder(brand, first), 'session_id');
    expect((await api.call(brand, 'DELETE', at(second))).status).toBe(204);
    expect(await versionOf(textOf(await importUnder(brand, first), 'session_id'))).toBe(1);
    expect(await importUnder(brand, second)).toMatchObject({ status: 404, body: { code: 'workflow_not_found' } });
    // Sessions note version numbers: none is ever another version's.
    const third = await api.call(brand, 'PATCH', at(first), { status: 'published' });
    expect(third.body).toMatchObject({ version: 3 });
    expect((await api.call(brand, 'DELETE', at(textOf(third, 'uuid')))).status).toBe(204);
    expect((await api.call(brand, 'DELETE', at(first))).status).toBe(204);
    for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
      const answer = await api.call(brand, method, at(first), method === 'PATCH' ? {} : undefined);
      expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
    }
    expect(await importUnder(brand, first)).toMatchObject({ status: 404, body: { code: 'workflow_not_found' } });
    const kept = await api.call(brand, 'GET', `/v3/session/${session}/decision/`);
    expect(kept).toMatchObject({ status: 200, body: { workflow_id: first } });
  });
});

describe('who', () => {
  it('lists every version of its own, the newest first, page by page', async () => {
    const brand = await api.newBrand();
    const first = textOf(await create(brand, { workflow_label: 'older' }), 'uuid');
    const second = textOf(await api.call(brand, 'PATCH', at(first), { status: 'published' }), 'uuid');
    const { body, status } = await api.call(brand, 'GET', `${ALL}?limit=2`);
    expect(status).toBe(200);
    expect(body['count']).toBe(4);
    expect((body['results'] as JsonObject[]).map((row) => row['uuid'])).toEqual([second, first]);
    expect(body['next']).toContain('offset=2');
    const rest = await api.call(brand, 'GET', `${ALL}?limit=2&offset=2`);
    expect((rest.body['results'] as JsonObject[]).map((row) => String(row['uuid'])).sort()).toEqual(
      [brand.workflows.user, brand.workflows.business].sort(),
    );
    expect((await api.call(brand, 'GET', `${ALL}?limit=0`)).status).toBe(400);
  });

  it('is no other application, and no key without the privilege', async () => {
    const uuid = textOf(await create(api.partner), 'uuid');
    for (const id of [uuid, 'x', uuid.toUpperCase()]) {
      for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
        const answer = await api.call(api.third, method, at(id), method === 'PATCH' ? {} : undefined);
        expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
      }
    }
    expect(await importUnder(api.third, uuid)).toMatchObject({ status: 404 });
    const readOnly = await api.newKey(api.partner, { workflows: 'read' });
    const none = await api.newKey(api.partner, { sessions: 'write' });
    expect((await api.call(readOnly, 'GET', at(uuid))).status).toBe(200);
    for (const [key, method, url] of [
      [readOnly, 'POST', ALL],
      [readOnly, 'PATCH', at(uuid)],
      [readOnly, 'DELETE', at(uuid)],
      [none, 'GET', ALL],
      [none, 'GET', at(uuid)],
    ] as const) {
      const answer = await api.call(key, method, url, method === 'POST' || method === 'PATCH' ? {} : undefined);
      expect(answer).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
    }
  });
});
