import { describe, expect, it } from 'vitest';
import { readShareToken } from '../../src/crypto/share-token.ts';
import { shiftClock, resetClock } from '../support/database.ts';
import { KEYS, testApi, textOf } from './api.ts';
import { businessDocument, mint, sample, takeIn, userDocument } from './documents.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';

describe('POST /v3/session/{id}/share/', () => {
  it('mints a token for the partner, whose kind is the session kind', async () => {
    const user = await takeIn(api, api.issuer);
    const business = await takeIn(api, api.issuer, businessDocument());
    for (const [sessionId, kind] of [
      [user, 'user'],
      [business, 'business'],
    ] as const) {
      const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, {
        for_application_id: api.partner.id.toUpperCase(),
        extra: 'ignored, as Didit does',
      });
      expect(answer.status).toBe(201);
      expect(Object.keys(answer.body)).toEqual(['share_token', 'for_application_id', 'session_kind']);
      expect(answer.body).toMatchObject({ for_application_id: api.partner.id, session_kind: kind });
      const { claims } = await readShareToken(KEYS, textOf(answer, 'share_token'));
      expect(claims).toMatchObject({
        session_id: sessionId,
        session_kind: kind,
        from_application_id: api.issuer.id,
        for_application_id: api.partner.id,
      });
      expect(claims.exp - claims.iat).toBe(3600);
    }
  });

  it.each([
    [60, 60],
    [86_400, 86_400],
    ['3600', 3600],
    ['60', 60],
  ])('takes a lifetime of %j', async (ttl, seconds) => {
    const sessionId = await takeIn(api, api.issuer);
    const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share`, {
      for_application_id: api.partner.id,
      ttl_in_seconds: ttl,
    });
    expect(answer.status).toBe(201);
    const { claims } = await readShareToken(KEYS, textOf(answer, 'share_token'));
    expect(claims.exp - claims.iat).toBe(seconds);
  });

  it.each([
    [59, 'Ensure this value is greater than or equal to 60.'],
    [-1, 'Ensure this value is greater than or equal to 60.'],
    ['59', 'Ensure this value is greater than or equal to 60.'],
    [86_401, 'Ensure this value is less than or equal to 86400.'],
    [1.5, 'A valid integer is required.'],
    ['1.5', 'A valid integer is required.'],
    ['', 'A valid integer is required.'],
    [true, 'A valid integer is required.'],
    [[3600], 'A valid integer is required.'],
    [null, 'This field may not be null.'],
  ])('refuses a lifetime of %j with the field and the reason', async (ttl, sentence) => {
    const sessionId = await takeIn(api, api.issuer);
    const before = await api.rows();
    const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, {
      for_application_id: api.partner.id,
      ttl_in_seconds: ttl,
    });
    expect(answer).toMatchObject({ status: 400, body: { ttl_in_seconds: [sentence], code: 'invalid_request' } });
    expect(await api.rows()).toEqual(before);
  });

  it('names every wrong field, and who the token cannot be for', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const live = await api.newBrand('live');
    const before = await api.rows();
    const share = (body: unknown) => api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, body);
    expect((await share({})).body).toEqual({
      for_application_id: ['This field is required.'],
      code: 'invalid_request',
    });
    expect((await share({ for_application_id: 'partner', ttl_in_seconds: 1 })).body).toEqual({
      for_application_id: ['Must be a valid UUID.'],
      ttl_in_seconds: ['Ensure this value is greater than or equal to 60.'],
      code: 'invalid_request',
    });
    expect(await share({ for_application_id: api.issuer.id })).toMatchObject({
      status: 400,
      body: { for_application_id: ['Cannot share a session with the same application.'] },
    });
    expect(await share({ for_application_id: UNKNOWN })).toMatchObject({
      status: 400,
      body: { for_application_id: ['Target application does not exist.'] },
    });
    const otherEnvironment = await share({ for_application_id: live.id });
    expect(otherEnvironment.status).toBe(400);
    expect(Object.keys(otherEnvironment.body)).toEqual(['for_application_id', 'code']);
    expect(await api.rows()).toEqual(before);
  });

  it('answers 404 for a session that is not the caller’s own, before it looks at the fields', async () => {
    const foreign = await takeIn(api, api.third);
    const before = await api.rows();
    for (const sessionId of [foreign, UNKNOWN, 'x', foreign.toUpperCase(), `${foreign}0`]) {
      for (const body of [{ for_application_id: api.partner.id }, { ttl_in_seconds: 1 }]) {
        const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, body);
        expect(answer).toMatchObject({ status: 404, body: { detail: 'Not found.', code: 'session_not_found' } });
      }
    }
    expect(await api.rows()).toEqual(before);
  });

  it.each(['Not Started', 'In Progress', 'Awaiting User', 'Resubmitted', 'Expired', 'Kyc Expired', 'Abandoned'])(
    'refuses an unfinished session: %s',
    async (status) => {
      const sessionId = await takeIn(api, api.issuer, userDocument({ status }));
      const before = await api.rows();
      const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, {
        for_application_id: api.partner.id,
      });
      expect(answer).toMatchObject({
        status: 400,
        body: {
          detail: ['Only finished sessions ("Approved", "Declined", "In Review") can be shared.'],
          code: 'session_not_finished',
        },
      });
      expect(await api.rows()).toEqual(before);
    },
  );

  it('names a deleted application', async () => {
    const gone = await api.newBrand();
    await api.database.pool.query('update application set deleted_at = now() where application_id = $1', [gone.id]);
    const sessionId = await takeIn(api, api.issuer);
    const answer = await api.call(api.issuer, 'POST', `/v3/session/${sessionId}/share/`, {
      for_application_id: gone.id,
    });
    expect(answer).toMatchObject({ status: 403, body: { code: 'application_deleted' } });
  });
});

describe('POST /v3/session/import-shared/', () => {
  it('imports a person, and answers with what the decision then says', async () => {
    const sessionId = await takeIn(api, api.issuer, sample('kyc-approved'));
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
      share_token: token,
      workflow_id: api.partner.workflows.user,
      vendor_data: 'partner-user-42',
      trust_review: true,
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      session_kind: 'user',
      status: 'Approved',
      shared_from_session: sessionId,
      session_url: null,
      workflow_id: api.partner.workflows.user,
      vendor_data: 'partner-user-42',
    });
    const imported = textOf(answer, 'session_id');
    const decision = await api.call(api.partner, 'GET', `/v3/session/${imported}/decision/`);
    expect(decision).toMatchObject({ status: 200, body: answer.body });
    const again = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
    expect(again).toMatchObject({
      status: 403,
      body: { code: 'already_imported', existing_session_id: imported },
    });
  });

  it('imports a company with the defaults: its own workflow, the source’s vendor_data, In Review', async () => {
    const sessionId = await takeIn(api, api.issuer, businessDocument());
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        session_kind: 'business',
        status: 'IN_REVIEW',
        workflow_id: api.partner.workflows.business,
        vendor_data: 'biz-1',
      },
    });
  });

  it('refuses what is no token of ours, and leaves nothing behind', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const otherAlgorithm = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT', kid: '2026-11' })).toString(
      'base64url',
    );
    const before = await api.rows();
    for (const text of [
      token.slice(0, -5),
      `${head}.${payload}`,
      `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
      `${otherAlgorithm}.${payload}.`,
      'nonsense',
      'x'.repeat(5_000),
    ]) {
      const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: text });
      expect(answer).toMatchObject({ status: 401, body: { code: 'share_token_invalid' } });
    }
    expect(await api.rows()).toEqual(before);
  });

  it('names missing and mistyped fields', async () => {
    const call = (body: unknown) => api.call(api.partner, 'POST', '/v3/session/import-shared/', body);
    expect((await call({})).body).toEqual({ share_token: ['This field is required.'], code: 'invalid_request' });
    const answer = await call({ share_token: 7, workflow_id: 7, trust_review: 'true', vendor_data: 'v'.repeat(513) });
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      share_token: ['Not a valid string.'],
      workflow_id: ['Not a valid string.'],
      vendor_data: ['Ensure this field has no more than 512 characters.'],
      trust_review: ['Must be a valid boolean: true or false.'],
      code: 'invalid_request',
    });
  });

  it('refuses another application’s token, an expired one and one whose source is gone', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const token = await mint(api, api.issuer, sessionId, api.partner, 60);
    const before = await api.rows();
    const call = (as: typeof api.issuer) => api.call(as, 'POST', '/v3/session/import-shared/', { share_token: token });
    expect(await call(api.third)).toMatchObject({
      status: 403,
      body: { code: 'share_token_not_for_this_application' },
    });
    await shiftClock(api.database.pool, '60 seconds');
    try {
      expect(await call(api.partner)).toMatchObject({ status: 401, body: { code: 'share_token_expired' } });
    } finally {
      await resetClock(api.database.pool);
    }
    expect(await api.rows()).toEqual(before);
    await api.database.pool.query('delete from session where session_id = $1', [sessionId]);
    expect(await call(api.partner)).toMatchObject({ status: 404, body: { code: 'source_session_gone' } });
  });

  it('refuses a foreign workflow, one of the other kind, and a missing one, on workflow_id', async () => {
    const bare = await api.newBrand();
    await api.database.pool.query('delete from verification_workflow where application_id = $1', [bare.id]);
    const sessionId = await takeIn(api, api.issuer);
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const bareToken = await mint(api, api.issuer, sessionId, bare);
    const before = await api.rows();
    for (const workflow of [api.issuer.workflows.user, 'wf_partner_kyc', '']) {
      const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
        share_token: token,
        workflow_id: workflow,
      });
      expect(answer).toMatchObject({ status: 404, body: { code: 'workflow_not_found' } });
    }
    const otherKind = await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
      share_token: token,
      workflow_id: api.partner.workflows.business,
    });
    expect(otherKind.status).toBe(400);
    expect(Object.keys(otherKind.body)).toEqual(['workflow_id', 'code']);
    expect(otherKind.body['code']).toBe('invalid_request');
    const missing = await api.call(bare, 'POST', '/v3/session/import-shared/', { share_token: bareToken });
    expect(missing.status).toBe(400);
    expect(Object.keys(missing.body)).toEqual(['workflow_id', 'code']);
    expect(await api.rows()).toEqual(before);
  });

  it('refuses a blocked entity', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const token = await mint(api, api.issuer, sessionId, api.partner);
    await api.database.pool.query(
      `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
       values (gen_random_uuid(), $1, 'user', 'blocked-one', 'BLOCKED')`,
      [api.partner.id],
    );
    const before = await api.rows();
    const answer = await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
      share_token: token,
      vendor_data: 'blocked-one',
    });
    expect(answer).toMatchObject({ status: 403, body: { code: 'entity_blocked', field: 'vendor_data' } });
    expect(await api.rows()).toEqual(before);
  });
});
