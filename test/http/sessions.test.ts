import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf } from './api.ts';
import { businessDocument, mint, sample, takeIn, userDocument } from './documents.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
const samples = readdirSync(new URL('../../samples/', import.meta.url))
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''));

describe('POST /v1/sessions/', () => {
  it.each(samples)('takes in the sample %s and gives it back', async (name) => {
    const document = sample(name);
    const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', document);
    expect(answer.status).toBe(201);
    expect(answer.body['external_id']).toBe(document['external_id']);
    const sessionId = textOf(answer, 'session_id');
    const { external_id: _id, ...decision } = answer.body;
    for (const path of ['decision/', 'decision', '', 'decision/?include=events']) {
      expect(await api.call(api.issuer, 'GET', `/v3/session/${sessionId}/${path}`)).toMatchObject({
        status: 200,
        body: decision,
      });
    }
    const dressed = { ...document };
    for (const own of ['session_id', 'session_number', 'workflow_id', 'shared_from_session']) delete dressed[own];
    // Resolved to the caller's own sessions, or kept as text: compared elsewhere.
    for (const array of ['key_people_checks', 'registry_checks']) delete dressed[array];
    for (const time of ['created_at', 'expires_at']) {
      expect(new Date(answer.body[time] as string)).toEqual(new Date(dressed[time] as string));
      delete dressed[time];
    }
    expect(answer.body).toMatchObject(dressed);
  });

  it('keeps one session for one external_id, unchanged', async () => {
    const first = await api.call(api.issuer, 'POST', '/v1/sessions/', userDocument({ external_id: 'ext-1' }));
    const before = await api.rows();
    const again = await api.call(
      api.issuer,
      'POST',
      '/v1/sessions/',
      userDocument({ external_id: 'ext-1', status: 'Declined' }),
    );
    expect(again).toMatchObject({ status: 200, body: first.body });
    const otherKind = await api.call(api.issuer, 'POST', '/v1/sessions/', businessDocument({ external_id: 'ext-1' }));
    expect(otherKind).toMatchObject({ status: 409, body: { code: 'external_id_conflict', field: 'external_id' } });
    expect(await api.rows()).toEqual(before);
    const elsewhere = await api.call(api.third, 'POST', '/v1/sessions/', userDocument({ external_id: 'ext-1' }));
    expect(elsewhere.status).toBe(201);
  });

  it('takes a document that an answer gave, again', async () => {
    const first = await api.call(api.issuer, 'POST', '/v1/sessions/', sample('kyb-in-review'));
    const copy: JsonObject = { ...first.body, external_id: 'copy-of-kyb' };
    expect(await api.call(api.third, 'POST', '/v1/sessions/', copy)).toMatchObject({
      status: 201,
      body: { registry_checks: first.body['registry_checks'] ?? null },
    });
  });

  it.each<[string, JsonObject, string]>([
    ['no kind', { status: 'Approved' }, 'session_kind'],
    ['no status', { session_kind: 'user' }, 'status'],
    ['an unknown status', userDocument({ status: 'approved' }), 'status'],
    ['an unknown field', userDocument({ first_name: 'Ada' }), 'first_name'],
    ['an unknown field named code', userDocument({ code: 'x' }), 'detail'],
    ['an array that is none', userDocument({ face_matches: {} }), 'face_matches'],
    ['another kind’s array', userDocument({ registry_checks: [{}] }), 'registry_checks'],
    ['a time without a zone', userDocument({ created_at: '2026-01-01T00:00:00' }), 'created_at'],
    ['the other environment', userDocument({ environment: 'live' }), 'environment'],
    ['a long vendor_data', userDocument({ vendor_data: 'v'.repeat(513) }), 'vendor_data'],
    ['a long external_id', userDocument({ external_id: 'e'.repeat(256) }), 'external_id'],
    ['NUL in a text', userDocument({ vendor_data: 'a\0b' }), 'vendor_data'],
    [
      'a lone surrogate deep inside',
      userDocument({ id_verifications: [{ deep: [{ text: '\ud800' }] }] }),
      'id_verifications.0.deep.0.text',
    ],
    ['NUL in a key', userDocument({ id_verifications: [{ 'a\0': 1 }] }), 'id_verifications.0'],
    [
      'a long path to a person',
      businessDocument({ key_people_checks: [{ ['k'.repeat(3_000)]: { kyc_session_id: 'x' } }] }),
      'key_people_checks.0',
    ],
  ])('refuses %s, with its field', async (_what, document, field) => {
    const before = await api.rows();
    const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', document);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body).toHaveProperty([field]);
    expect(await api.rows()).toEqual(before);
  });

  it('holds documents of up to a mebibyte, and other bodies to 64 KiB', async () => {
    const roomy = userDocument({ id_verifications: [{ note: 'n'.repeat(900_000) }] });
    expect((await api.call(api.issuer, 'POST', '/v1/sessions/', roomy)).status).toBe(201);
    const before = await api.rows();
    const huge = userDocument({ id_verifications: [{ note: 'n'.repeat(2_000_000) }] });
    const tooLarge = { status: 413, body: { code: 'payload_too_large' } };
    expect(await api.call(api.issuer, 'POST', '/v1/sessions/', huge)).toMatchObject(tooLarge);
    expect(
      await api.call(api.issuer, 'POST', '/v3/session/import-shared/', { share_token: 't'.repeat(2_000_000) }),
    ).toMatchObject(tooLarge);
    expect(await api.rows()).toEqual(before);
  });

  it('refuses a document that nests beyond all measure', async () => {
    const depth = 100_000;
    const text = `{"session_kind":"user","status":"Approved","id_verifications":[${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}]}`;
    const answer = await api.call(api.issuer, 'POST', '/v1/sessions/', text, { 'content-type': 'application/json' });
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({ id_verifications: [expect.stringContaining('128 levels')], code: 'invalid_request' });
  });
});

describe('reading a session', () => {
  it('knows only the caller’s own', async () => {
    const sessionId = await takeIn(api, api.issuer);
    for (const id of [sessionId, UNKNOWN, 'x', sessionId.toUpperCase(), encodeURIComponent('../x'), 'x'.repeat(500)]) {
      for (const path of [`/v3/session/${id}/decision/`, `/v3/session/${id}/`, `/v1/sessions/${id}/provenance/`]) {
        const answer = await api.call(api.third, 'GET', path);
        expect(answer).toMatchObject({ status: 404, body: { detail: 'Not found.' } });
      }
    }
  });

  it('names every hop of a shared session, the nearest first', async () => {
    const first = await takeIn(api, api.issuer);
    const own = await api.call(api.issuer, 'GET', `/v1/sessions/${first}/provenance/`);
    expect(own).toMatchObject({ status: 200, body: { count: 0, next: null, previous: null, results: [] } });

    const second = textOf(
      await api.call(api.partner, 'POST', '/v3/session/import-shared/', {
        share_token: await mint(api, api.issuer, first, api.partner),
      }),
      'session_id',
    );
    const third = textOf(
      await api.call(api.third, 'POST', '/v3/session/import-shared/', {
        share_token: await mint(api, api.partner, second, api.third),
      }),
      'session_id',
    );
    const hops = await api.call(api.third, 'GET', `/v1/sessions/${third}/provenance/`);
    expect(hops).toMatchObject({
      status: 200,
      body: {
        count: 2,
        results: [
          { hop: 1, source_session_id: second, source_application_id: api.partner.id },
          { hop: 2, source_session_id: first, source_application_id: api.issuer.id },
        ],
      },
    });
    const page = await api.call(api.third, 'GET', `/v1/sessions/${third}/provenance/?limit=1&offset=1`, undefined, {
      host: 'api.example:8443',
    });
    expect(page.body).toMatchObject({
      count: 2,
      next: null,
      previous: `http://api.example:8443/v1/sessions/${third}/provenance/?limit=1&offset=0`,
    });
  });
});
