import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { mint, takeIn } from './documents.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
const AGREEMENT: JsonObject = {
  reference: 'DSA-2026-7',
  document_sha256: 'ab'.repeat(32),
  legal_basis: 'GDPR Art. 6(1)(f)',
  purpose: 'Onboarding within the group',
  signer: 'Head of Compliance',
  signed_on: '2026-02-01',
  valid_until: '2027-02-01',
};

let connectionId: string;
beforeAll(async () => {
  const answer = await api.call(api.issuer, 'POST', '/v1/connections/', {
    partner_application_id: api.partner.id,
    agreement: AGREEMENT,
  });
  expect(answer).toMatchObject({
    status: 201,
    body: {
      issuer_application_id: api.issuer.id,
      partner_application_id: api.partner.id,
      environment: 'sandbox',
      status: 'proposed',
      suspended: false,
      acceptance: 'acknowledge',
      trust_review: false,
      default_workflows: null,
      vendor_data_rule: 'prefixed',
      agreements: { issuer: AGREEMENT, partner: null },
    },
  });
  connectionId = textOf(answer, 'connection_id');
});

const change = (as: Brand, body: unknown, id = connectionId) => api.call(as, 'PATCH', `/v1/connections/${id}/`, body);

describe('POST /v1/connections/', () => {
  it('refuses a second one, and partners that cannot be', async () => {
    const live = await api.newBrand('live');
    const before = await api.rows();
    const propose = (body: unknown) => api.call(api.issuer, 'POST', '/v1/connections/', body);
    expect(await propose({ partner_application_id: api.partner.id })).toMatchObject({
      status: 409,
      body: { code: 'connection_exists' },
    });
    for (const id of [api.issuer.id, UNKNOWN, live.id, 'x']) {
      const answer = await propose({ partner_application_id: id });
      expect(answer.status).toBe(400);
      expect(Object.keys(answer.body)).toEqual(['partner_application_id', 'code']);
    }
    expect(await propose({ acceptance: 'automatic' })).toMatchObject({
      status: 400,
      body: {
        partner_application_id: ['This field is required.'],
        acceptance: ['Unknown field: remove it.'],
      },
    });
    expect(await api.rows()).toEqual(before);
  });

  it('makes one, however many are proposed at once', async () => {
    const partner = await api.newBrand();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        api.call(api.issuer, 'POST', '/v1/connections/', { partner_application_id: partner.id }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      201,
      ...Array.from({ length: 7 }, () => 409),
    ]);
  });

  it.each<[string, JsonObject, string]>([
    ['a hash that is none', { document_sha256: 'xyz' }, 'agreement.document_sha256'],
    ['a day that is none', { signed_on: '2026-02-30' }, 'agreement.signed_on'],
    ['an end before the start', { valid_until: '2026-01-31' }, 'agreement.valid_until'],
    ['an unknown member', { colour: 'red' }, 'agreement.colour'],
    ['an empty signer', { signer: '' }, 'agreement.signer'],
  ])('refuses an agreement with %s', async (_what, wrong, field) => {
    const answer = await api.call(api.issuer, 'POST', '/v1/connections/', {
      partner_application_id: api.third.id,
      agreement: { ...AGREEMENT, ...wrong },
    });
    expect(answer.status).toBe(400);
    expect(answer.body).toHaveProperty([field]);
  });
});

describe('PATCH /v1/connections/{connection_id}/', () => {
  it('lets the partner set its terms, bit by bit', async () => {
    const activated = await change(api.partner, {
      status: 'active',
      acceptance: 'automatic',
      trust_review: true,
      default_workflows: { user: api.partner.workflows.user },
      vendor_data_rule: 'same',
    });
    expect(activated).toMatchObject({
      status: 200,
      body: {
        status: 'active',
        acceptance: 'automatic',
        trust_review: true,
        default_workflows: { user: api.partner.workflows.user, business: null },
        vendor_data_rule: 'same',
      },
    });
    expect(
      await change(api.partner, { default_workflows: { business: api.partner.workflows.business, user: null } }),
    ).toMatchObject({
      status: 200,
      body: { acceptance: 'automatic', default_workflows: { user: null, business: api.partner.workflows.business } },
    });
    expect(await api.call(api.issuer, 'GET', `/v1/connections/${connectionId}`)).toMatchObject({
      status: 200,
      body: { status: 'active', default_workflows: null },
    });
  });

  it.each<[string, JsonObject]>([
    ['status', { status: 'active' }],
    ['acceptance', { acceptance: 'automatic' }],
    ['trust_review', { trust_review: false }],
    ['default_workflows', { default_workflows: {} }],
    ['vendor_data_rule', { vendor_data_rule: 'same' }],
  ])('keeps %s from the issuer', async (field, body) => {
    expect(await change(api.issuer, { ...body, suspended: true })).toMatchObject({
      status: 403,
      body: { code: 'connection_change_not_yours', field },
    });
    expect(await api.call(api.issuer, 'GET', `/v1/connections/${connectionId}`)).toMatchObject({
      body: { suspended_by_issuer_at: null },
    });
  });

  it('refuses default workflows that are not the partner’s own, of that kind', async () => {
    for (const wrong of [
      { user: api.issuer.workflows.user },
      { user: api.partner.workflows.business },
      { user: 'wf' },
      { person: api.partner.workflows.user },
    ]) {
      const answer = await change(api.partner, { default_workflows: wrong });
      expect(answer.status).toBe(400);
      expect(Object.keys(answer.body)).toEqual([`default_workflows.${Object.keys(wrong)[0]}`, 'code']);
    }
  });

  it('is closed to third parties, and to values that are none', async () => {
    for (const id of [connectionId, UNKNOWN, 'x']) {
      expect(await change(api.third, { suspended: true }, id)).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
      expect((await api.call(api.third, 'GET', `/v1/connections/${id}/`)).status).toBe(404);
    }
    for (const body of [{ status: 'proposed' }, { suspended: 'yes' }, { colour: 1 }, []]) {
      expect((await change(api.partner, body)).status).toBe(400);
    }
  });

  it('lets each side suspend and lift its own, which blocks sharing', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const byIssuer = await change(api.issuer, { suspended: true });
    expect(byIssuer.body).toMatchObject({ suspended: true, suspended_by_partner_at: null });
    const since = byIssuer.body['suspended_by_issuer_at'];
    expect((await change(api.issuer, { suspended: true })).body).toMatchObject({ suspended_by_issuer_at: since ?? '' });
    expect((await change(api.partner, { suspended: false })).body).toMatchObject({ suspended: true });
    const suspended = { status: 403, body: { code: 'connection_suspended' } };
    expect(
      await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, { for_application_id: api.partner.id }),
    ).toMatchObject(suspended);
    expect(await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token })).toMatchObject(
      suspended,
    );
    expect((await change(api.issuer, { suspended: false })).body).toMatchObject({ suspended: false });
    expect((await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token })).status).toBe(
      201,
    );
  });

  it('keeps every signature and shows the latest of each side', async () => {
    await change(api.partner, { agreement: { ...AGREEMENT, signer: 'First' } });
    const answer = await change(api.partner, { agreement: { ...AGREEMENT, signer: 'Second', valid_until: null } });
    expect(answer.body['agreements']).toMatchObject({
      issuer: { signer: 'Head of Compliance' },
      partner: { signer: 'Second', valid_until: null },
    });
    const kept = await api.database.pool.query('select 1 from connection_agreement where application_id = $1', [
      api.partner.id,
    ]);
    expect(kept.rowCount).toBe(2);
  });
});

describe('GET /v1/connections/', () => {
  it('lists each side’s own', async () => {
    const [issuer, partner, third] = [await api.newBrand(), await api.newBrand(), await api.newBrand()];
    const made = await api.call(issuer, 'POST', '/v1/connections/', { partner_application_id: partner.id });
    await change(partner, { status: 'active' }, textOf(made, 'connection_id'));
    await api.call(third, 'POST', '/v1/connections/', { partner_application_id: issuer.id });
    const list = async (as: Brand, query = '') => {
      const { body } = await api.call(as, 'GET', `/v1/connections/${query}`);
      const results = body['results'] as { issuer_application_id: string }[];
      return { count: body['count'], issuers: results.map((row) => row.issuer_application_id) };
    };
    expect(await list(issuer)).toEqual({ count: 2, issuers: [third.id, issuer.id] });
    expect(await list(issuer, '?role=issuer')).toEqual({ count: 1, issuers: [issuer.id] });
    expect(await list(issuer, '?status=proposed')).toEqual({ count: 1, issuers: [third.id] });
    expect(await list(issuer, '?limit=1&offset=1')).toEqual({ count: 2, issuers: [issuer.id] });
    expect(await list(partner, '?role=issuer')).toEqual({ count: 0, issuers: [] });
  });
});
