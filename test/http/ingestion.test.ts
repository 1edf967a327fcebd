import { randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { DIDIT_SECRET, diditBytes, diditHeaders, personDecision, personEvent } from '../support/didit-webhooks.ts';
import { signInPython } from '../support/python-verifier.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { mint } from './documents.ts';

const api = testApi();
const SETUP = '/v1/ingest/didit/';
const routeOf = (brand: Brand | string) => `${SETUP}${typeof brand === 'string' ? brand : brand.id}/`;
const setSecret = (brand: Brand, secret = DIDIT_SECRET) => api.call(brand, 'PUT', SETUP, { secret_shared_key: secret });

/** Sends a webhook as Didit does, with these headers instead of its own where given. */
function send(
  body: JsonValue,
  brand: Brand | string = api.issuer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const raw = diditBytes(body);
  return api.call(null, 'POST', routeOf(brand), raw, { ...diditHeaders(raw), ...headers });
}

const decisionOf = async (sessionId: string, brand = api.issuer) =>
  (await api.call(brand, 'GET', `/v3/session/${sessionId}/decision/`)).body;
const now = () => Math.floor(Date.now() / 1000);
/** `status.updated` events that a brand's destinations are told. */
const told = async (sessionId: string) =>
  (await api.database.pool.query(`select 1 from event where session_id = $1 and type = 'status.updated'`, [sessionId]))
    .rowCount;

beforeAll(async () => {
  await setSecret(api.issuer);
});
afterEach(() => resetClock(api.database.pool));

describe('the secret', () => {
  it('is set, shown to be set and never shown, replaced and taken away', async () => {
    const brand = await api.newBrand();
    const url = `http://localhost:8080/v1/ingest/didit/${brand.id}/`;
    const none = { configured: false, url, updated_at: null, previous_secret_until: null };
    expect(await api.call(brand, 'GET', SETUP)).toMatchObject({ status: 200, body: none });
    const first = await setSecret(brand);
    expect(first).toMatchObject({ status: 200, body: { configured: true, url, previous_secret_until: null } });
    expect(await api.call(brand, 'GET', SETUP)).toMatchObject({ status: 200, body: first.body });
    expect(JSON.stringify(first.body)).not.toContain(DIDIT_SECRET);
    expect((await api.call(brand, 'DELETE', SETUP)).status).toBe(204);
    expect(await api.call(brand, 'GET', SETUP)).toMatchObject({ status: 200, body: none });
    expect(await api.call(brand, 'DELETE', SETUP)).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  it('verifies for a day more once another is set, and not at all once deleted', async () => {
    const brand = await api.newBrand();
    await setSecret(brand);
    const next = 'the-next-secret-of-this-destination';
    expect(textOf(await setSecret(brand, next), 'previous_secret_until')).toMatch(/Z$/);
    // The same again takes nothing away.
    expect(textOf(await setSecret(brand, next), 'previous_secret_until')).toMatch(/Z$/);
    const externalId = randomUUID();
    expect(await send(personEvent(externalId), brand)).toMatchObject({ status: 200, body: { result: 'created' } });
    const raw = diditBytes(personEvent(externalId));
    const byNext = await api.call(null, 'POST', routeOf(brand), raw, diditHeaders(raw, next));
    expect(byNext).toMatchObject({ status: 200, body: { result: 'updated' } });

    await shiftClock(api.database.pool, '25 hours');
    const later = personEvent(externalId, { timestamp: now() + 25 * 3_600 });
    expect(await send(later, brand)).toMatchObject({ status: 401, body: { code: 'ingest_signature_invalid' } });
    expect((await api.call(brand, 'GET', SETUP)).body).toMatchObject({ previous_secret_until: null });
    await resetClock(api.database.pool);
    await api.call(brand, 'DELETE', SETUP);
    expect((await send(personEvent(externalId), brand)).status).toBe(401);
  });

  it.each<[JsonObject, string, string]>([
    [{}, 'secret_shared_key', 'This field is required.'],
    [{ secret_shared_key: 7 }, 'secret_shared_key', 'Not a valid string.'],
    [{ secret_shared_key: 's'.repeat(15) }, 'secret_shared_key', 'Ensure this field has at least 16 characters.'],
    [{ secret_shared_key: 's'.repeat(256) }, 'secret_shared_key', 'Ensure this field has no more than 255 characters.'],
    [{ secret_shared_key: `${DIDIT_SECRET}\n` }, 'secret_shared_key', expect.stringMatching(/^Only visible/) as string],
    [{ secret_shared_key: DIDIT_SECRET, more: 1 }, 'more', 'Unknown field: remove it.'],
  ])('refuses %j', async (body, field, sentence) => {
    const answer = await api.call(api.third, 'PUT', SETUP, body);
    expect(answer).toMatchObject({ status: 400, body: { [field]: [sentence], code: 'invalid_request' } });
  });

  it('needs a key that may read or write webhooks', async () => {
    const reader = await api.newKey(api.third, { webhooks: 'read', sessions: 'write' });
    const stranger = await api.newKey(api.third, { sessions: 'write' });
    const denied = { status: 403, body: { code: 'permission_denied' } };
    expect((await api.call(reader, 'GET', SETUP)).status).toBe(200);
    expect(await api.call(reader, 'PUT', SETUP, { secret_shared_key: DIDIT_SECRET })).toMatchObject(denied);
    expect(await api.call(reader, 'DELETE', SETUP)).toMatchObject(denied);
    expect(await api.call(stranger, 'GET', SETUP)).toMatchObject(denied);
    expect(await api.call(null, 'GET', SETUP)).toMatchObject({ status: 401, body: { code: 'authentication_failed' } });
  });
});

describe('who may send', () => {
  it('is Didit, by either signature, over its own bytes or over JSON written anew', async () => {
    const body = { ...personEvent(randomUUID()), metadata: { name: 'Zoë 東京 😀', share: 30.0, part: 99.5 } };
    const [sent] = signInPython([{ body: JSON.stringify(body), secret: DIDIT_SECRET }]);
    if (sent === undefined) throw new Error('one body, one webhook');
    const json = { 'content-type': 'application/json' };
    const post = (raw: string, headers: Record<string, string>) =>
      api.call(null, 'POST', routeOf(api.issuer), raw, { ...json, ...headers });
    expect((await post(sent.raw, { 'x-signature': sent.signature })).status).toBe(200);
    expect((await post(sent.raw, { 'x-signature-v2': sent.signatureV2 })).status).toBe(200);
    const anew = JSON.stringify(JSON.parse(sent.raw), null, 2);
    expect((await post(anew, { 'x-signature-v2': sent.signatureV2 })).status).toBe(200);
    expect((await post(anew, { 'x-signature': sent.signature })).status).toBe(401);
  });

  it('is nobody else; an application without a secret, an unknown one and a wrong signature are told alike', async () => {
    const before = await api.rows();
    const body = personEvent(randomUUID());
    const raw = diditBytes(body);
    const { 'x-signature': _left, ...unsigned } = diditHeaders(raw);
    const answers = await Promise.all([
      send(body, randomUUID()),
      send(body, api.partner),
      send(body, api.issuer, { 'x-signature': '0'.repeat(64) }),
      send(body, api.issuer, diditHeaders(raw, 'a-secret-of-somebody-else')),
      api.call(null, 'POST', routeOf(api.issuer), raw, unsigned),
      api.call(null, 'POST', routeOf(api.issuer), raw, {
        ...unsigned,
        'x-signature-simple': diditHeaders(raw)['x-signature'] ?? '',
      }),
      api.call(null, 'POST', routeOf(api.issuer), raw.replace('Ana', 'Eva'), diditHeaders(raw)),
    ]);
    const told = answers.map(({ status, body: said }) => ({ status, said }));
    for (const each of told) expect(each).toEqual(told[0]);
    expect(told[0]).toMatchObject({ status: 401, said: { code: 'ingest_signature_invalid' } });
    expect(await api.rows()).toEqual(before);
  });

  it('sends to an id that is one', async () => {
    expect(await send(personEvent(randomUUID()), 'x')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  it('has a window of 300 seconds around the signed time, by the database’s clock', async () => {
    const rejected = { status: 401, body: { code: 'ingest_timestamp_rejected' } };
    const at = (offset: number) => personEvent(randomUUID(), { timestamp: now() + offset });
    expect((await send(at(-280))).status).toBe(200);
    expect((await send(at(280))).status).toBe(200);
    expect(await send(at(-320))).toMatchObject(rejected);
    expect(await send(at(320))).toMatchObject(rejected);
    const body = at(0);
    await shiftClock(api.database.pool, '10 minutes');
    expect(await send(body)).toMatchObject(rejected);
    // A fresh header does not freshen the signed time.
    expect(await send(body, api.issuer, { 'x-timestamp': String(now() + 600) })).toMatchObject(rejected);
    await resetClock(api.database.pool);
    expect(await send(body, api.issuer, { 'x-timestamp': String(now() - 1_000) })).toMatchObject(rejected);
    const { 'x-timestamp': _none, ...headers } = diditHeaders(diditBytes(body));
    expect((await api.call(null, 'POST', routeOf(api.issuer), diditBytes(body), headers)).status).toBe(200);
  });

  it('is not listened to for an application that was deleted', async () => {
    const brand = await api.newBrand();
    await setSecret(brand);
    await api.database.pool.query('update application set deleted_at = now() where application_id = $1', [brand.id]);
    const answer = await send(personEvent(randomUUID()), brand);
    expect(answer).toMatchObject({ status: 403, body: { code: 'application_deleted' } });
  });
});

describe('a body', () => {
  it.each<[string, JsonObject, string]>([
    ['no type', { webhook_type: null }, 'webhook_type'],
    ['no time', { timestamp: null }, 'timestamp'],
    ['a status that is none', { status: 'Fine' }, 'status'],
    ['the other environment', { environment: 'live' }, 'environment'],
    ['a decision of version 2', { decision: { kyc: { first_name: 'Ana' } } }, 'decision'],
    ['an array that is none', { decision: { session_kind: 'user', face_matches: 7 } }, 'decision.face_matches'],
    [
      'a long path to a person',
      { session_kind: 'business', decision: { key_people_checks: [{ ['k'.repeat(600)]: { kyc_session_id: 'x' } }] } },
      'decision.key_people_checks.0',
    ],
  ])('with %s is refused by its field', async (_what, more, field) => {
    const before = await api.rows();
    const answer = await send(personEvent(randomUUID(), more));
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(answer.body).toHaveProperty([field]);
    expect(await api.rows()).toEqual(before);
  });

  it('is JSON, an object, and at most 4 MiB', async () => {
    const post = (raw: string, type = 'application/json') =>
      api.call(null, 'POST', routeOf(api.issuer), raw, { 'content-type': type });
    expect((await post('{')).status).toBe(400);
    expect((await post('[]')).status).toBe(400);
    expect((await post('{}', 'text/plain')).status).toBe(415);
    const roomy = personDecision('x', 'Ana', { document_ai_documents: [{ text: 'n'.repeat(3_900_000) }] });
    expect((await send(personEvent(randomUUID(), { decision: roomy }))).status).toBe(200);
    const huge = personDecision('x', 'Ana', { document_ai_documents: [{ text: 'n'.repeat(4_200_000) }] });
    expect(await send(personEvent(randomUUID(), { decision: huge }))).toMatchObject({ status: 413 });
    const deep = `{"timestamp":${now()},"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    expect(
      await api.call(null, 'POST', routeOf(api.issuer), deep, { ...diditHeaders(deep), 'x-signature': '' }),
    ).toMatchObject({ status: 400, body: { a: [expect.stringContaining('128 levels')] } });
    const twice = `{"timestamp":${now()},"session_id":"a","session_id":"b"}`;
    const signed = await api.call(null, 'POST', routeOf(api.issuer), twice, diditHeaders(twice));
    expect(signed).toMatchObject({ status: 400, body: { session_id: [expect.stringContaining('twice')] } });
  });
});

describe('what is taken in', () => {
  it('is a session with all that Didit’s decision says, under its id', async () => {
    const externalId = randomUUID();
    const answer = await send(
      personEvent(externalId, { decision: personDecision(externalId, 'Ana', { session_score: 7 }) }),
    );
    expect(answer).toMatchObject({
      status: 200,
      body: { result: 'created', ignored_fields: ['decision.session_score'] },
    });
    const sessionId = textOf(answer, 'session_id');
    expect(sessionId).not.toBe(externalId);
    expect(await decisionOf(sessionId)).toMatchObject({
      session_id: sessionId,
      session_kind: 'user',
      status: 'Approved',
      vendor_data: `didit-${externalId}`,
      features: ['ID_VERIFICATION', 'LIVENESS'],
      metadata: { source: 'didit' },
      id_verifications: [{ first_name: 'Ana', document_type: 'Passport' }],
      created_at: '2026-05-17T08:42:11.123456Z',
    });
    const row = await api.database.pool.query(
      'select external_id, session_type, country, document_type, document_expires_on::text as expires from session where session_id = $1',
      [sessionId],
    );
    expect(row.rows).toEqual([
      { external_id: externalId, session_type: 'MIGRATED', country: 'ESP', document_type: 'P', expires: '2031-01-31' },
    ]);
    expect(await told(sessionId)).toBe(1);
    const users = await api.database.pool.query(
      'select status from entity where application_id = $1 and vendor_data = $2',
      [api.issuer.id, `didit-${externalId}`],
    );
    expect(users.rows).toEqual([{ status: 'ACTIVE' }]);
  });

  it('crosses to a partner without what stays home', async () => {
    const sessionId = textOf(await send(personEvent(randomUUID())), 'session_id');
    const token = await mint(api, api.issuer, sessionId, api.partner);
    const imported = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
    expect(imported).toMatchObject({
      status: 201,
      body: { session_url: null, metadata: null, id_verifications: [{ first_name: 'Ana' }] },
    });
  });

  it('is one session for one of Didit’s, which the newest change has, in whatever order they come', async () => {
    const externalId = randomUUID();
    const at = (offset: number, firstName: string, status = 'Approved') =>
      personEvent(externalId, {
        created_at: now() + offset,
        status,
        decision: personDecision(externalId, firstName, {
          status,
          liveness_checks: [],
          aml_screenings: [{ total_hits: 1 }],
        }),
      });
    const first = await send(at(-50, 'First', 'In Review'));
    expect(first.body).toMatchObject({ result: 'created' });
    const sessionId = textOf(first, 'session_id');
    const third = await send(at(-10, 'Third'));
    expect(third.body).toMatchObject({ session_id: sessionId, result: 'updated' });
    const second = await send(at(-30, 'Second', 'Declined'));
    expect(second.body).toMatchObject({ session_id: sessionId, result: 'stale' });
    expect(await decisionOf(sessionId)).toMatchObject({
      status: 'Approved',
      id_verifications: [{ first_name: 'Third' }],
      liveness_checks: [],
      aml_screenings: [{ total_hits: 1 }],
    });
    expect(await told(sessionId)).toBe(2);
  });

  it('of one second has what was sent last, and none of them again when it is sent again', async () => {
    const externalId = randomUUID();
    const [made, ids] = [now() - 50, [randomUUID(), randomUUID(), randomUUID()]];
    const sent = async (index: number, after: number, createdAt = made) =>
      (
        await send(
          personEvent(externalId, {
            event_id: ids[index] ?? '',
            created_at: createdAt,
            timestamp: made + after,
            decision: personDecision(externalId, `Name${index}`),
          }),
        )
      ).body;
    const first = await sent(1, 5);
    expect(first).toMatchObject({ result: 'created' });
    const sessionId = String(first['session_id']);
    expect(await sent(0, 4)).toMatchObject({ result: 'stale' });
    expect(await sent(2, 6)).toMatchObject({ result: 'updated' });
    for (const [index, after] of [
      [0, 20],
      [1, 21],
      [2, 22],
    ] as const) {
      expect(await sent(index, after)).toMatchObject({ result: 'stale' });
    }
    expect(await decisionOf(sessionId)).toMatchObject({ id_verifications: [{ first_name: 'Name2' }] });
    ids[1] = randomUUID();
    expect(await sent(1, 30, made + 1)).toMatchObject({ result: 'updated' });
    const { rows } = await api.database.pool.query('select content_events from session where session_id = $1', [
      sessionId,
    ]);
    expect(rows).toEqual([{ content_events: [ids[1]] }]);
  });

  it('has no second effect when the same comes twice', async () => {
    const body = personEvent(randomUUID());
    const first = await send(body);
    const before = await api.rows();
    const again = await send(body);
    expect(again.body).toMatchObject({ session_id: textOf(first, 'session_id'), result: 'stale' });
    expect(await api.rows()).toEqual(before);
    // Sent again later, signed anew.
    expect((await send({ ...body, timestamp: now() + 5 })).body).toMatchObject({ result: 'stale' });
    expect(await api.rows()).toEqual(before);
  });

  it('keeps a verdict and reviews that were given here, until Didit has something new', async () => {
    const externalId = randomUUID();
    const reviewed = (comments: string[]) =>
      personDecision(externalId, 'Ana', {
        reviews: comments.map((comment) => ({ user: 'agent@didit.example', new_status: 'Approved', comment })),
      });
    const body = personEvent(externalId, { decision: reviewed(['first']) });
    const sessionId = textOf(await send(body), 'session_id');
    const verdict = { new_status: 'Declined', comment: 'ours' };
    expect((await api.call(api.issuer, 'PATCH', `/v3/session/${sessionId}/update-status/`, verdict)).status).toBe(200);
    await send({ ...body, timestamp: now() + 1 });
    expect(await decisionOf(sessionId)).toMatchObject({ status: 'Declined' });
    const later = personEvent(externalId, { timestamp: now() + 2, decision: reviewed(['first', 'second', 'third']) });
    expect((await send(later)).body).toMatchObject({ result: 'updated' });
    const decision = await decisionOf(sessionId);
    expect(decision).toMatchObject({ status: 'Approved' });
    const comments = (decision['reviews'] as JsonObject[]).map(({ comment }) => comment);
    expect(comments).toEqual(['first', 'ours', 'second', 'third']);
    const list = await api.call(api.issuer, 'GET', `/v3/sessions/${sessionId}/reviews/`);
    expect(list.body).toMatchObject({ count: 4 });
  });

  it('belongs to the environment that its session was made in, whatever the application is in now', async () => {
    const brand = await api.newBrand();
    await setSecret(brand);
    const externalId = randomUUID();
    const sandbox = { environment: 'sandbox' };
    const sessionId = textOf(await send(personEvent(externalId, sandbox), brand), 'session_id');
    await api.database.pool.query(`update application set environment = 'live' where application_id = $1`, [brand.id]);
    const later = { ...sandbox, timestamp: now() + 1 };
    expect(await send(personEvent(externalId, later), brand)).toMatchObject({
      status: 200,
      body: { session_id: sessionId, result: 'updated' },
    });
    const live = { environment: 'live', timestamp: now() + 2 };
    expect(await send(personEvent(externalId, live), brand)).toMatchObject({
      status: 400,
      body: { environment: [expect.stringContaining('session is in sandbox')] },
    });
    expect(await send(personEvent(randomUUID(), live), brand)).toMatchObject({ body: { result: 'created' } });
    expect(await send(personEvent(randomUUID(), sandbox), brand)).toMatchObject({
      status: 400,
      body: { environment: [expect.stringContaining('application is in live')] },
    });
  });

  it('is found by its new words and not by the old ones', async () => {
    const externalId = randomUUID();
    const name = (first: string) => personDecision(externalId, first);
    const sessionId = textOf(await send(personEvent(externalId, { decision: name('Oldname') })), 'session_id');
    const terms = async () =>
      (
        await api.database.pool.query('select term from session_search where session_id = $1 order by term', [
          sessionId,
        ])
      ).rows;
    const before = await terms();
    await send(personEvent(externalId, { decision: name('Newname'), timestamp: now() + 1 }));
    const after = await terms();
    expect(after).toHaveLength(before.length);
    expect(after).not.toEqual(before);
  });

  it('changes its status alone where Didit sends no decision', async () => {
    const externalId = randomUUID();
    const bare = (status: string, more: JsonObject = {}) => {
      const { decision: _none, ...body } = personEvent(externalId, { status, ...more });
      return body;
    };
    expect((await send(bare('In Progress'))).body).toEqual({ session_id: null, result: 'ignored', ignored_fields: [] });
    const begun = await send(bare('In Progress', { session_kind: 'user' }));
    const sessionId = textOf(begun, 'session_id');
    expect(begun.body).toMatchObject({ result: 'created' });
    expect(await decisionOf(sessionId)).toMatchObject({ status: 'In Progress', id_verifications: [] });
    await send(personEvent(externalId, { timestamp: now() + 1 }));
    const resubmitted = await send(bare('Resubmitted', { timestamp: now() + 2 }));
    expect(resubmitted.body).toMatchObject({ session_id: sessionId, result: 'updated' });
    expect(await decisionOf(sessionId)).toMatchObject({
      status: 'Resubmitted',
      id_verifications: [{ first_name: 'Ana' }],
    });
    expect(await told(sessionId)).toBe(3);
  });

  it('changes its content by data.updated, and tells nobody of a status that stays', async () => {
    const externalId = randomUUID();
    const sessionId = textOf(await send(personEvent(externalId)), 'session_id');
    const edited = personEvent(externalId, {
      webhook_type: 'data.updated',
      trigger: 'manual_review',
      timestamp: now() + 1,
      decision: personDecision(externalId, 'Corrected'),
    });
    expect((await send(edited)).body).toMatchObject({ result: 'updated' });
    expect(await decisionOf(sessionId)).toMatchObject({ id_verifications: [{ first_name: 'Corrected' }] });
    expect(await told(sessionId)).toBe(1);
  });

  it('is nothing of other events and of the console’s tests', async () => {
    const before = await api.rows();
    for (const more of [{ webhook_type: 'user.status.updated' }, { metadata: { test_webhook: true } }]) {
      const answer = await send(personEvent(randomUUID(), more));
      expect(answer).toMatchObject({ status: 200, body: { session_id: null, result: 'ignored' } });
    }
    expect(await api.rows()).toEqual(before);
  });

  it('is a company with its people, who may come before it or after', async () => {
    const [early, late, company] = [randomUUID(), randomUUID(), randomUUID()];
    const earlyId = textOf(await send(personEvent(early)), 'session_id');
    const answer = await send(
      personEvent(company, {
        session_kind: 'business',
        business_session_id: company,
        status: 'APPROVED',
        decision: {
          session_kind: 'business',
          status: 'Approved',
          registry_checks: [{ status: 'Approved', company: { legal_name: 'Acme' } }],
          key_people_checks: [
            {
              officers: [
                { kyc_session_id: early },
                { kyc_session_id: late, kyc_session_url: 'https://didit.example/s' },
              ],
            },
          ],
        },
      }),
    );
    const companyId = textOf(answer, 'session_id');
    const lateId = textOf(await send(personEvent(late)), 'session_id');
    expect(await decisionOf(companyId)).toMatchObject({
      status: 'APPROVED',
      key_people_checks: [{ officers: [{ kyc_session_id: earlyId }, { kyc_session_id: lateId }] }],
    });
    const wrong = await send(personEvent(company, { timestamp: now() + 1 }));
    expect(wrong).toMatchObject({ status: 409, body: { code: 'external_id_conflict', field: 'session_id' } });
    const token = await mint(api, api.issuer, companyId, api.partner);
    const imported = await api.call(api.partner, 'POST', '/v3/session/import-shared/', { share_token: token });
    const people = (imported.body['key_people_checks'] as JsonObject[])[0]?.['officers'] as JsonObject[];
    for (const person of people)
      expect(await decisionOf(String(person['kyc_session_id']), api.partner)).toMatchObject({ session_kind: 'user' });
  });

  it('takes over a session that was taken in by hand under the same id, and leaves one deleted here to the next event', async () => {
    const externalId = randomUUID();
    const byHand = await api.call(api.issuer, 'POST', '/v1/sessions/', {
      session_kind: 'user',
      status: 'In Review',
      external_id: externalId,
    });
    const sessionId = textOf(byHand, 'session_id');
    expect((await send(personEvent(externalId))).body).toMatchObject({ session_id: sessionId, result: 'updated' });
    await api.call(api.issuer, 'DELETE', `/v3/session/${sessionId}/delete/`);
    const again = await send(personEvent(externalId));
    expect(again.body).toMatchObject({ result: 'created' });
    expect(again.body['session_id']).not.toBe(sessionId);
  });

  it('leaves links to be fetched, and shows nothing of them', async () => {
    const externalId = randomUUID();
    const link = 'https://media.didit.example/face.jpg?signature=abc';
    const withLink = (more: JsonObject = {}) =>
      personEvent(externalId, {
        decision: personDecision(externalId, 'Ana', {
          liveness_checks: [{ status: 'Approved', reference_image: link, video_url: 'handoff-media:x' }],
        }),
        ...more,
      });
    const sessionId = textOf(await send(withLink()), 'session_id');
    const pending = async () =>
      (
        await api.database.pool.query<{ media_id: string; state: string; object_key: string | null }>(
          `select m.media_id, f.state, m.object_key from session_media m join media_fetch f using (media_id)
           where m.session_id = $1`,
          [sessionId],
        )
      ).rows;
    const first = await pending();
    expect(first).toMatchObject([{ state: 'pending', object_key: null }]);
    expect(api.wishes).toContainEqual(expect.objectContaining({ wish: 'fetch_media', subjectId: sessionId }));
    expect(JSON.stringify(await decisionOf(sessionId))).not.toContain('media.didit.example');
    await send(withLink({ timestamp: now() + 1 }));
    const second = await pending();
    expect(second).toHaveLength(1);
    expect(second[0]?.media_id).not.toBe(first[0]?.media_id);
  });
});

describe('at the same time', () => {
  it('however many events of one session come, it is one, and the newest has it', async () => {
    const externalId = randomUUID();
    const events = Array.from({ length: 16 }, (_, index) =>
      personEvent(externalId, {
        created_at: now() - 100 + index,
        decision: personDecision(externalId, `Name ${index}`),
      }),
    );
    const answers = await Promise.all(events.toSorted(() => Math.random() - 0.5).map((event) => send(event)));
    expect(new Set(answers.map(({ body }) => body['session_id'])).size).toBe(1);
    expect(answers.filter(({ body }) => body['result'] === 'created')).toHaveLength(1);
    const [first] = answers;
    if (first === undefined) throw new Error('sixteen answers');
    expect(await decisionOf(textOf(first, 'session_id'))).toMatchObject({
      id_verifications: [{ first_name: 'Name 15' }],
    });
  });

  it('an import and a reader have the session as it was before or after a change, never both', async () => {
    const externalId = randomUUID();
    // The name in one array and the number in another belong together.
    const version = (n: number) =>
      personEvent(externalId, {
        created_at: now() - 100 + n,
        decision: personDecision(externalId, `Name ${n}`, { liveness_checks: [{ score: n }], metadata: { n } }),
      });
    const sessionId = textOf(await send(version(0)), 'session_id');
    const brands = await Promise.all(Array.from({ length: 6 }, () => api.newBrand()));
    const tokens = await Promise.all(brands.map((brand) => mint(api, api.issuer, sessionId, brand)));
    const changes = (async () => {
      for (let n = 1; n <= 24; n += 1) expect((await send(version(n))).status).toBe(200);
    })();
    const imports = brands.map((brand, index) =>
      api.call(brand, 'POST', '/v3/session/import-shared/', { share_token: tokens[index] }),
    );
    const reads = Array.from({ length: 24 }, () => decisionOf(sessionId));
    const seen = [...(await Promise.all(imports)).map(({ body }) => body), ...(await Promise.all(reads))];
    await changes;
    for (const decision of seen) {
      const [document, liveness] = ['id_verifications', 'liveness_checks'].map(
        (name) => (decision[name] as JsonObject[])[0],
      );
      expect(document?.['first_name']).toBe(`Name ${String(liveness?.['score'])}`);
    }
    expect(await decisionOf(sessionId)).toMatchObject({ id_verifications: [{ first_name: 'Name 24' }] });
  });
});
