import { describe, expect, it } from 'vitest';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { spendAcknowledgement } from '../../src/sharing/close.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { businessDocument, takeIn } from './documents.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';

/** Opens an onboarding and returns its token id. */
async function open(to: Brand = api.partner, sessionId?: string): Promise<string> {
  const answer = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
    session_id: sessionId ?? (await takeIn(api, api.issuer)),
    for_application_id: to.id,
  });
  expect(answer.status).toBe(202);
  return textOf(answer, 'token_id');
}

/** What the run's first step does. */
function mintStep(tokenId: string): Promise<unknown> {
  const tenants = handoffTenants(api.tenants, testSealer, testBlindIndex);
  return tenants.acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));
}

const act = (as: Brand, tokenId: string, verb: 'acknowledge' | 'revoke', body?: unknown) =>
  api.call(as, 'POST', `/v1/onboardings/${tokenId}/${verb}/`, body);

describe('POST /v1/onboardings/', () => {
  it('answers 202 before anything is minted, and wishes for the run', async () => {
    const sessionId = await takeIn(api, api.issuer, businessDocument());
    api.wishes.splice(0);
    const answer = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
      session_id: sessionId,
      for_application_id: api.partner.id,
      ttl_in_seconds: 60,
    });
    expect(answer).toMatchObject({
      status: 202,
      body: {
        status: 'minting',
        reason: null,
        session_kind: 'business',
        session_id: sessionId,
        for_application_id: api.partner.id,
        issuer_application_id: api.issuer.id,
        partner_application_id: api.partner.id,
        expires_at: null,
        acceptance: null,
        imported_session_id: null,
        acknowledgement: null,
        steps: [{ step: 'mint', attempts: 1, finished_at: null, result: null }],
      },
    });
    expect(api.wishes).toMatchObject([{ wish: 'start', tokenId: answer.body['token_id'] }]);
  });

  it('refuses what a mint would refuse, in its order, and leaves nothing behind', async () => {
    const foreign = await takeIn(api, api.third);
    const own = await takeIn(api, api.issuer);
    const unfinished = await takeIn(api, api.issuer, { session_kind: 'user', status: 'In Progress' });
    const before = await api.rows();
    const start = (body: unknown) => api.call(api.issuer, 'POST', '/v1/onboardings/', body);
    const to = { for_application_id: api.partner.id };
    expect((await start({})).body).toMatchObject({ session_id: ['This field is required.'] });
    expect((await start({ ...to, session_id: 'x' })).body).toMatchObject({ session_id: ['Must be a valid UUID.'] });
    for (const sessionId of [foreign, UNKNOWN]) {
      expect(await start({ session_id: sessionId, ttl_in_seconds: 1 })).toMatchObject({
        status: 404,
        body: { code: 'session_not_found' },
      });
    }
    expect(await start({ session_id: own, ttl_in_seconds: 59, colour: 'red' })).toMatchObject({
      status: 400,
      body: {
        for_application_id: ['This field is required.'],
        ttl_in_seconds: ['Ensure this value is greater than or equal to 60.'],
        colour: ['Unknown field: remove it.'],
        code: 'invalid_request',
      },
    });
    expect(await start({ session_id: own, for_application_id: api.issuer.id })).toMatchObject({ status: 400 });
    expect(await start({ ...to, session_id: unfinished })).toMatchObject({
      status: 400,
      body: { code: 'session_not_finished', detail: [expect.any(String)] },
    });
    expect(await api.rows()).toEqual(before);
  });
});

describe('GET /v1/onboardings/', () => {
  it('shows each side its own, newest first, with exact pages and filters', async () => {
    const partner = await api.newBrand();
    const first = await open(partner);
    const second = await open(partner, await takeIn(api, api.issuer, businessDocument()));
    const third = await open(partner);
    await mintStep(third);
    const ids = async (as: Brand, query: string) => {
      const answer = await api.call(as, 'GET', `/v1/onboardings/${query}`);
      expect(answer.status).toBe(200);
      const results = answer.body['results'] as { token_id: string }[];
      return { count: answer.body['count'], ids: results.map(({ token_id }) => token_id), body: answer.body };
    };
    expect(await ids(partner, '')).toMatchObject({ count: 3, ids: [third, second, first] });
    expect(await ids(partner, '?role=partner&session_kind=business')).toMatchObject({ count: 1, ids: [second] });
    expect(await ids(partner, '?role=issuer')).toMatchObject({ count: 0, ids: [] });
    expect(await ids(partner, '?status=delivering')).toMatchObject({ count: 1, ids: [third] });
    const page = await ids(partner, '?limit=1&offset=1&role=partner');
    expect(page).toMatchObject({ count: 3, ids: [second] });
    expect(page.body['next']).toBe('http://localhost/v1/onboardings/?limit=1&offset=2&role=partner');
    expect(page.body['previous']).toBe('http://localhost/v1/onboardings/?limit=1&offset=0&role=partner');
    expect((await ids(api.issuer, '?role=issuer')).ids).toEqual(expect.arrayContaining([first, second, third]));
    expect((await ids(api.third, '')).count).toBe(0);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['offset=-1', 'offset'],
    ['offset=99999999999', 'offset'],
    ['status=done', 'status'],
    ['session_kind=company', 'session_kind'],
    ['role=both', 'role'],
  ])('refuses ?%s', async (query, field) => {
    const answer = await api.call(api.issuer, 'GET', `/v1/onboardings/?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body).toHaveProperty([field]);
  });
});

describe('GET /v1/onboardings/{token_id}/', () => {
  it('tells both sides the story, and each its own session only', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const tokenId = await open(api.partner, sessionId);
    await mintStep(tokenId);
    const seen = {
      token_id: tokenId,
      status: 'delivering',
      acceptance: 'acknowledge',
      expires_at: expect.stringMatching(/Z$/),
      steps: [{ step: 'mint', result: 'minted', finished_at: expect.any(String) }],
    };
    expect(await api.call(api.issuer, 'GET', `/v1/onboardings/${tokenId}/`)).toMatchObject({
      status: 200,
      body: { ...seen, session_id: sessionId },
    });
    expect(await api.call(api.partner, 'GET', `/v1/onboardings/${tokenId}`)).toMatchObject({
      status: 200,
      body: { ...seen, session_id: null },
    });
    for (const id of [tokenId, UNKNOWN, 'x', tokenId.toUpperCase()]) {
      expect(await api.call(api.third, 'GET', `/v1/onboardings/${id}/`)).toMatchObject({
        status: 404,
        body: { code: 'unknown_onboarding' },
      });
    }
  });

  it('counts every delivery attempt', async () => {
    const tokenId = await open();
    await mintStep(tokenId);
    await api.database.pool.query(
      `with e as (insert into event
           (event_id, application_id, type, token_id, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
         values (gen_random_uuid(), $2::uuid, 'share.received', $1::uuid, $1::uuid, 1, 'system', '', '', gen_random_uuid()::text) returning event_id),
       s as (insert into onboarding_step (token_id, step, started_at, attempts) values ($1::uuid, 'deliver', now(), 1)),
       w as (insert into webhook_destination (destination_id, application_id, label, url, subscribed_events)
         values (gen_random_uuid(), $2, 'x', 'https://receiver.example', '{}') returning destination_id, url),
       d as (insert into delivery (delivery_id, event_id, destination_id, application_id, owner)
         select gen_random_uuid(), event_id, destination_id, $2, 'onboarding' from e, w returning delivery_id)
       insert into delivery_attempt (delivery_id, attempt, application_id, destination_id, request_url, started_at)
       select delivery_id, n, $2, w.destination_id, w.url, now() from d, w, generate_series(1, 3) n`,
      [tokenId, api.partner.id],
    );
    const answer = await api.call(api.partner, 'GET', `/v1/onboardings/${tokenId}/`);
    expect(answer.body['steps']).toMatchObject([{ step: 'mint' }, { step: 'deliver', attempts: 3 }]);
  });
});

describe('POST …/acknowledge/', () => {
  it('accepts once, the same again, and lets the partner withdraw', async () => {
    const tokenId = await open();
    await mintStep(tokenId);
    api.wishes.splice(0);
    const yes = { accept: true, workflow_id: api.partner.workflows.user, vendor_data: 'user-42', trust_review: true };
    const accepted = await act(api.partner, tokenId, 'acknowledge', yes);
    expect(accepted).toMatchObject({
      status: 200,
      body: {
        token_id: tokenId,
        acknowledgement: { accept: true, state: 'unspent', reason: null, code: null, field: null },
      },
    });
    expect(api.wishes).toMatchObject([{ wish: 'signal', signal: 'partnerAcknowledged' }]);
    const rows = await api.rows();
    const respelt = Object.fromEntries(Object.entries({ ...yes, reason: null }).toReversed());
    expect((await act(api.partner, tokenId, 'acknowledge', respelt)).status).toBe(200);
    expect(await act(api.partner, tokenId, 'acknowledge', { ...yes, vendor_data: 'user-43' })).toMatchObject({
      status: 409,
      body: { code: 'acknowledgement_conflict' },
    });
    expect(await api.rows()).toEqual(rows);
    const refused = await act(api.partner, tokenId, 'acknowledge', { accept: false, reason: 'Not our customer' });
    expect(refused).toMatchObject({
      status: 200,
      body: { status: 'refused', reason: 'Not our customer', ended_at: expect.any(String) },
    });
    expect(await act(api.partner, tokenId, 'acknowledge', yes)).toMatchObject({
      status: 409,
      body: { code: 'onboarding_ended', status: 'refused' },
    });
  });

  it('gives the code when the partner refuses without a word', async () => {
    const tokenId = await open();
    await mintStep(tokenId);
    const answer = await act(api.partner, tokenId, 'acknowledge', { accept: false });
    expect(answer).toMatchObject({ status: 200, body: { status: 'refused', reason: 'refused_by_partner' } });
  });

  it('refuses at once what the import could not do, and writes nothing', async () => {
    const tokenId = await open();
    const early = await act(api.partner, tokenId, 'acknowledge', { accept: true });
    expect(early).toMatchObject({ status: 409, body: { code: 'onboarding_minting' } });
    await mintStep(tokenId);
    const before = await api.rows();
    const say = (body: unknown) => act(api.partner, tokenId, 'acknowledge', body);
    expect(await say({ accept: true, workflow_id: api.issuer.workflows.user })).toMatchObject({
      status: 404,
      body: { code: 'workflow_not_found', field: 'workflow_id' },
    });
    const kind = await say({ accept: true, workflow_id: api.partner.workflows.business });
    expect(kind.status).toBe(400);
    expect(Object.keys(kind.body)).toEqual(['workflow_id', 'code']);
    expect(await say({})).toMatchObject({ status: 400, body: { accept: ['This field is required.'] } });
    expect(await say({ accept: 'yes', reason: 'r'.repeat(1001), colour: 1 })).toMatchObject({
      status: 400,
      body: {
        accept: ['Must be a valid boolean: true or false.'],
        reason: ['Ensure this field has no more than 1000 characters.'],
        colour: ['Unknown field: remove it.'],
      },
    });
    for (const stranger of [api.third, api.issuer]) {
      expect(await act(stranger, tokenId, 'acknowledge', { accept: true })).toMatchObject({
        status: 404,
        body: { code: 'unknown_onboarding' },
      });
    }
    expect((await act(api.partner, UNKNOWN, 'acknowledge', { accept: true })).status).toBe(404);
    expect(await api.rows()).toEqual(before);
  });

  it('shows why an import was refused, so that the partner can mend it', async () => {
    const tokenId = await open();
    await mintStep(tokenId);
    await act(api.partner, tokenId, 'acknowledge', { accept: true });
    await handoffTenants(api.tenants, testSealer, testBlindIndex).acrossTenants('onboarding', async (tx) => {
      const share = await tx.shares.look(tokenId);
      const acknowledgementId = share?.acknowledgement?.acknowledgementId ?? null;
      const why = { code: 'workflow_not_found', field: 'workflow_id', acknowledgementId } as const;
      await spendAcknowledgement(tx, tokenId, why, { kind: 'onboarding', id: tokenId });
    });
    expect(await api.call(api.partner, 'GET', `/v1/onboardings/${tokenId}/`)).toMatchObject({
      body: { acknowledgement: { accept: true, state: 'spent', code: 'workflow_not_found', field: 'workflow_id' } },
    });
  });

  it('is too late after the expiry', async () => {
    const tokenId = await open();
    await mintStep(tokenId);
    await shiftClock(api.database.pool, '3600 seconds');
    try {
      expect(await act(api.partner, tokenId, 'acknowledge', { accept: true })).toMatchObject({
        status: 409,
        body: { code: 'onboarding_ended', status: 'expired' },
      });
      expect(await act(api.issuer, tokenId, 'revoke')).toMatchObject({
        status: 409,
        body: { code: 'onboarding_ended', status: 'expired' },
      });
    } finally {
      await resetClock(api.database.pool);
    }
  });
});

describe('POST …/revoke/', () => {
  it('takes the share back, the second time without effect', async () => {
    const tokenId = await open();
    for (const stranger of [api.partner, api.third]) {
      expect((await act(stranger, tokenId, 'revoke')).status).toBe(404);
    }
    const revoked = await act(api.issuer, tokenId, 'revoke', {});
    expect(revoked).toMatchObject({ status: 200, body: { status: 'revoked', reason: 'revoked_by_issuer' } });
    const rows = await api.rows();
    expect(await act(api.issuer, tokenId, 'revoke')).toMatchObject({ status: 200, body: revoked.body });
    expect(await api.rows()).toEqual(rows);
    expect(await act(api.issuer, tokenId, 'revoke', { reason: 'x' })).toMatchObject({
      status: 400,
      body: { reason: ['Unknown field: remove it.'] },
    });
    expect(await act(api.partner, tokenId, 'acknowledge', { accept: true })).toMatchObject({
      status: 409,
      body: { code: 'onboarding_ended', status: 'revoked' },
    });
  });
});
