import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import type { DocumentedRoute } from '../../src/http/openapi/routes.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { DIDIT_SECRET, diditBytes, diditHeaders, personEvent } from '../support/didit-webhooks.ts';
import { formBytes } from '../support/import-files.ts';
import { productionRoutes } from '../support/openapi-text.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { mint, takeIn } from './documents.ts';
import { holdingsOf, holdingsOfPerson, pathWith, type Holdings } from './holdings.ts';
import { callAs, codeOf, FOR_PEOPLE, newAddress, newEmail, newPerson, PASSWORD, type Person } from './people.ts';

/** Routes that leave no event, and why. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'POST /auth/v2/programmatic/refresh/': 'goes on with a login that stands in the trail; a stolen token ends it there',
};

const changing = (await productionRoutes()).filter(({ method }) => method !== 'GET');
const nameOf = ({ method, url }: DocumentedRoute) => `${method} ${url}`;

const api = testApi(FOR_PEOPLE);
let owner: Brand;
let partner: Brand;
let held: Holdings;
let person: Person;
beforeAll(async () => {
  [owner, partner, person] = [await api.newBrand(), await api.newBrand(), await newPerson(api)];
  held = { ...(await holdingsOf(api, owner, partner)), ...(await holdingsOfPerson(person)) };
});

/** A call that succeeds. */
interface Success {
  /** Whose key; the owner's by default. */
  readonly as?: Brand;
  /** Ids in the path other than what the owner holds. */
  readonly ids?: Holdings;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const session = (): Promise<string> => takeIn(api, owner);
const since = () => new Date(Date.now() - 60_000).toISOString();
const customer = () => `customer-${randomUUID()}`;

async function onboarding(): Promise<string> {
  const body = { session_id: await session(), for_application_id: partner.id };
  return textOf(await api.call(owner, 'POST', '/v1/onboardings/', body), 'token_id');
}

async function mintedOnboarding(): Promise<string> {
  const tokenId = await onboarding();
  const tenants = handoffTenants(api.tenants, testSealer, testBlindIndex);
  await tenants.acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));
  return tokenId;
}

async function hosted(): Promise<{ id: string; token: string }> {
  const made = await api.call(owner, 'POST', '/v3/session/', { workflow_id: owner.workflows.user });
  return { id: textOf(made, 'session_id'), token: textOf(made, 'session_token') };
}

async function entity(kind: 'users' | 'businesses'): Promise<string> {
  const vendorData = customer();
  await api.call(owner, 'POST', `/v3/${kind}/create/`, { vendor_data: vendorData });
  return vendorData;
}

async function destination(): Promise<string> {
  const body = { url: `https://${randomUUID()}.example/`, subscribed_events: ['share.minted'] };
  return textOf(await api.call(owner, 'POST', '/v3/webhook/destinations/', body), 'uuid');
}

async function upload() {
  const fields = { import_type: 'user_verification' };
  const content = `{"external_id":"${randomUUID()}","status":"Approved"}\n`;
  const { payload, headers } = await formBytes(fields, { name: 'one.ndjson', content });
  return { body: payload, headers };
}

async function openImport(): Promise<string> {
  const { body, headers } = await upload();
  return textOf(await api.call(owner, 'POST', '/v3/session/imports/', body, headers), 'uuid');
}

async function workflow(): Promise<string> {
  const body = { workflow_label: 'Spare', features: [{ feature: 'OCR' }] };
  return textOf(await api.call(owner, 'POST', '/v3/workflows/', body), 'uuid');
}

async function waitingAddress(): Promise<string> {
  const email = newEmail();
  await callAs(api, 'register', { email, password: PASSWORD });
  return email;
}

const APPLICATION = '/auth/v2/organizations/me/:organization_id/applications/:application_id';
const asPerson = (who: Person) => ({ authorization: `Bearer ${who.accessToken}` });

/** How each route is called with success; a new one fails until it stands here. */
const CALLS: Readonly<Record<string, () => Success | Promise<Success>>> = {
  'PATCH /auth/v2/organizations/me/:organization_id/': () => ({ body: { name: 'Renamed' } }),
  'POST /auth/v2/organizations/me/:organization_id/applications/': () => ({ body: { name: 'Another' } }),
  [`PATCH ${APPLICATION}/`]: () => ({ body: { description: 'What it is for' } }),
  [`DELETE ${APPLICATION}/`]: async () => {
    const made = await person.call('POST', `/auth/v2/organizations/me/${person.organizationId}/applications/`, {});
    return { ids: { [APPLICATION]: textOf(made, 'uuid') } };
  },
  [`POST ${APPLICATION}/api-keys/`]: () => ({ body: { name: 'new', privileges: { audit: 'read' } } }),
  [`PATCH ${APPLICATION}/api-keys/:key_id/`]: () => ({ body: { name: 'changed' } }),
  [`DELETE ${APPLICATION}/api-keys/:key_id/`]: async () => {
    const made = await person.call('POST', `${person.application()}api-keys/`, { name: 'spare', privileges: {} });
    return { ids: { [`${APPLICATION}/api-keys/:key_id`]: textOf(made, 'key_id') } };
  },
  'POST /auth/v2/programmatic/register/': () => ({ body: { email: newEmail(), password: PASSWORD } }),
  'POST /auth/v2/programmatic/resend-otp/': async () => {
    const email = await waitingAddress();
    await api.database.pool.query('update email_throttle set mailed_at = null');
    return { body: { email } };
  },
  'POST /auth/v2/programmatic/verify-email/': async () => {
    const email = await waitingAddress();
    return { body: { email, code: await codeOf(api, email) } };
  },
  'POST /auth/v2/programmatic/login/': () => ({ body: { email: person.email, password: PASSWORD } }),
  'POST /auth/v2/programmatic/logout/': async () => ({ headers: asPerson(await newPerson(api)) }),
  'POST /v1/connections/': async () => ({ body: { partner_application_id: (await api.newBrand()).id } }),
  'PATCH /v1/connections/:connection_id/': () => ({ as: partner, body: { status: 'active' } }),
  'PUT /v1/ingest/didit/': () => ({ body: { secret_shared_key: DIDIT_SECRET } }),
  'DELETE /v1/ingest/didit/': async () => {
    await api.call(owner, 'PUT', '/v1/ingest/didit/', { secret_shared_key: DIDIT_SECRET });
    return {};
  },
  'POST /v1/ingest/didit/:application_id/': async () => {
    await api.call(owner, 'PUT', '/v1/ingest/didit/', { secret_shared_key: DIDIT_SECRET });
    const raw = diditBytes(personEvent(randomUUID()));
    return { ids: { '/v1/ingest/didit/:application_id': owner.id }, body: raw, headers: diditHeaders(raw) };
  },
  'POST /v1/onboardings/': async () => ({
    body: { session_id: await session(), for_application_id: partner.id },
  }),
  'POST /v1/onboardings/:token_id/acknowledge/': async () => ({
    as: partner,
    ids: { '/v1/onboardings/:token_id': await mintedOnboarding() },
    body: { accept: true },
  }),
  'POST /v1/onboardings/:token_id/revoke/': async () => ({
    ids: { '/v1/onboardings/:token_id': await onboarding() },
  }),
  'POST /v1/sessions/': () => ({ body: { session_kind: 'user', status: 'Approved' } }),
  'POST /v1/sessions/:session_id/media/': () => ({
    query: '?field=id_verifications.0.front_image',
    body: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    headers: { 'content-type': 'image/png' },
  }),
  'POST /v1/webhook/destinations/:uuid/recover/': () => ({ body: { since: since() } }),
  'POST /v1/webhook/destinations/:uuid/replay-missing/': () => ({ body: { since: since() } }),
  'POST /v1/webhook/destinations/:uuid/reveal-secret/': () => ({}),
  'POST /v1/webhook/destinations/:uuid/rotate-secret/': () => ({}),
  'POST /v1/webhook/destinations/:uuid/test/': () => ({}),
  'POST /v3/session/': () => ({ body: { workflow_id: owner.workflows.user } }),
  'DELETE /v3/session/:session_id/delete/': async () => ({
    ids: { '/v3/session/:session_id': await session() },
    body: { deletion_instruction: 'operational_session_delete' },
  }),
  'POST /v3/session/:session_id/sandbox/arm/': async () => {
    const { id, token } = await hosted();
    return {
      ids: { '/v3/session/:session_id': id },
      body: { scenario: 'approved' },
      headers: { 'session-token': token },
    };
  },
  'POST /v3/session/:session_id/share/': () => ({ body: { for_application_id: partner.id } }),
  'PATCH /v3/session/:session_id/update-status/': () => ({ body: { new_status: 'Declined' } }),
  'POST /v3/session/:session_id/webhook/:delivery_uuid/resend/': () => ({}),
  'POST /v3/session/import-shared/': async () => ({
    as: partner,
    body: {
      share_token: await mint(api, owner, await session(), partner),
      workflow_id: partner.workflows.user,
    },
  }),
  'POST /v3/session/imports/': upload,
  'POST /v3/session/imports/:uuid/cancel/': async () => ({
    ids: { '/v3/session/imports/:uuid': await openImport() },
  }),
  'POST /v3/sessions/:session_id/reviews/': () => ({ body: { comment: 'Seen' } }),
  'POST /v3/sessions/delete/': async () => {
    const decision = await api.call(owner, 'GET', `/v3/session/${await session()}/decision/`);
    return { body: { session_numbers: [decision.body['session_number']] } };
  },
  'POST /v3/webhook/destinations/': () => ({
    body: { url: `https://${randomUUID()}.example/`, subscribed_events: ['share.minted'], enabled: false },
  }),
  'PATCH /v3/webhook/destinations/:uuid/': () => ({ body: { label: 'Renamed' } }),
  'DELETE /v3/webhook/destinations/:uuid/': async () => ({
    ids: { '/v3/webhook/destinations/:uuid': await destination() },
  }),
  'POST /v3/webhook/destinations/:uuid/deliveries/:delivery_uuid/resend/': () => ({}),
  'POST /v3/workflows/': () => ({ body: { workflow_label: 'New', features: [{ feature: 'OCR' }] } }),
  'PATCH /v3/workflows/:settings_uuid/': async () => ({
    ids: { '/v3/workflows/:settings_uuid': await workflow() },
    body: { workflow_label: 'Changed' },
  }),
  'DELETE /v3/workflows/:settings_uuid/': async () => ({
    ids: { '/v3/workflows/:settings_uuid': await workflow() },
  }),
  ...Object.fromEntries(
    (['users', 'businesses'] as const).flatMap((kind) => {
      const place = `/v3/${kind}/:vendor_data`;
      return [
        [`POST /v3/${kind}/create/`, () => ({ body: { vendor_data: customer() } })],
        [`PATCH ${place}/`, () => ({ body: { metadata: { tier: randomUUID() } } })],
        [
          `PATCH ${place}/update-status/`,
          async () => ({ ids: { [place]: await entity(kind) }, body: { status: 'FLAGGED' } }),
        ],
        [`POST /v3/${kind}/delete/`, async () => ({ body: { vendor_data_list: [await entity(kind)] } })],
      ] as const;
    }),
  ),
};

/** Who has to stand in the trail for a route: a key, a person or the service; `register` has no account to act as. */
function actorsOf({ needs, url }: DocumentedRoute, as: Brand): readonly { kind: string; id: unknown }[] {
  if (typeof needs === 'object') return [{ kind: 'api_key', id: as.keyId }];
  const account = { kind: 'account', id: expect.stringMatching(/^[0-9a-f-]{36}$/) };
  if (needs === 'account') return [account];
  return url.includes('verify-email') || url.includes('login') ? [account] : [{ kind: 'system', id: null }];
}

it('every exception is of a route that is there', () => {
  expect(Object.keys({ ...EXCEPTIONS, ...CALLS }).toSorted()).toEqual(changing.map(nameOf).toSorted());
});

it.each(changing.filter((route) => !(nameOf(route) in EXCEPTIONS)).map((route) => [nameOf(route), route] as const))(
  '%s leaves an event with who did it, in which call',
  async (name, route) => {
    const { as = owner, ids = {}, query = '', body, headers = {} } = (await CALLS[name]?.()) ?? {};
    const requestId = `call-${randomUUID()}`;
    const key = typeof route.needs === 'object' ? as : null;
    const answer = await api.call(key, route.method, pathWith(route.url, held, ids) + query, body, {
      'x-request-id': requestId,
      'x-forwarded-for': newAddress(),
      ...(route.needs === 'account' && asPerson(person)),
      ...headers,
    });
    expect({ status: Math.floor(answer.status / 100), body: answer.status < 300 ? null : answer.body }).toEqual({
      status: 2,
      body: null,
    });
    const { rows } = await api.database.pool.query<{ application: string; type: string; kind: string; id: unknown }>(
      `select application_id as application, type, actor_kind as kind, actor_id as id from event where request_id = $1`,
      [requestId],
    );
    const [actor] = actorsOf(route, as);
    expect(rows.map(({ kind, id }) => ({ kind, id }))).toContainEqual(actor);
    // It stands in the caller's own trail, or the platform's where there is no application.
    if (key !== null) expect(rows.map(({ application }) => application)).toContain(as.id);
    else if (name.includes('programmatic')) expect(rows.map(({ application }) => application)).toContain(PLATFORM_ID);
    // No other application learns the key, nor the text that the caller gave the call.
    if (key !== null) for (const row of rows) expect([as.id, PLATFORM_ID]).toContain(row.application);
  },
);

it('a replay, a refusal and a change that changes nothing leave none', async () => {
  const events = async () =>
    (await api.database.pool.query<{ n: number }>('select count(*)::int as n from event')).rows[0]?.n;
  const once = { 'idempotency-key': randomUUID() };
  const body = { vendor_data: customer() };
  await api.call(owner, 'POST', '/v3/users/create/', body, once);
  const before = await events();
  expect((await api.call(owner, 'POST', '/v3/users/create/', body, once)).status).toBe(201);
  expect((await api.call(owner, 'POST', '/v3/users/create/', body)).status).toBe(400);
  expect((await api.call(owner, 'PATCH', `/v3/users/${body.vendor_data}/`, {})).status).toBe(200);
  expect((await api.call(owner, 'DELETE', `/v3/session/${randomUUID()}/delete/`)).status).toBe(404);
  expect(await events()).toBe(before);
});

it('tells receivers the same numbers as if nothing stood beside them', async () => {
  const sessionId = await session();
  await api.call(owner, 'POST', `/v3/sessions/${sessionId}/reviews/`, { comment: 'Seen' });
  await api.call(owner, 'PATCH', `/v3/session/${sessionId}/update-status/`, { new_status: 'Declined' });
  await api.call(owner, 'POST', `/v3/sessions/${sessionId}/reviews/`, { comment: 'Seen again' });
  await api.call(owner, 'PATCH', `/v3/session/${sessionId}/update-status/`, { new_status: 'Approved' });
  const { rows } = await api.database.pool.query(
    'select type, sequence::int from event where session_id = $1 order by created_at',
    [sessionId],
  );
  expect(rows).toEqual([
    { type: 'session.created', sequence: null },
    { type: 'session.reviewed', sequence: null },
    { type: 'status.updated', sequence: 1 },
    { type: 'session.reviewed', sequence: null },
    { type: 'status.updated', sequence: 2 },
  ]);
});
