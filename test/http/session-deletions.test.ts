import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { businessDocument, mint, takeIn } from './documents.ts';

const api = testApi();
const DELETE = '/v3/sessions/delete/';

const remove = (as: Brand | string | null, body: unknown, headers?: Record<string, string>) =>
  api.call(as, 'POST', DELETE, body, headers);
const numberOf = async (as: Brand, sessionId: string) =>
  Number((await api.call(as, 'GET', `/v3/session/${sessionId}/decision/`)).body['session_number']);
const results = (body: JsonObject) => body['results'] as JsonObject[];

async function some(as: Brand, count: number): Promise<{ ids: string[]; numbers: number[] }> {
  const ids = [];
  const numbers = [];
  for (let n = 0; n < count; n += 1) {
    const id = await takeIn(api, as);
    ids.push(id);
    numbers.push(await numberOf(as, id));
  }
  return { ids, numbers };
}

async function counted(of: Brand): Promise<[number, number]> {
  const { rows } = await api.database.pool.query<{ living: number; real: number }>(
    `select c.living::int as living, (select count(*)::int from session where application_id = $1 and session_kind = 'user') as real
     from session_counter c where c.application_id = $1 and c.session_kind = 'user'`,
    [of.id],
  );
  return [rows[0]?.living ?? -1, rows[0]?.real ?? -1];
}

describe('POST /v3/sessions/delete/', () => {
  it('deletes user sessions by their numbers, passing over those that are not there', async () => {
    const { ids, numbers } = await some(api.issuer, 3);
    const business = await takeIn(api, api.issuer, businessDocument());
    const [first = 0, second = 0] = numbers;
    const answer = await remove(api.issuer, {
      session_numbers: [String(first), second, String(first), '999999'],
      instruction_id: 'case-7',
      deletion_instruction: 'privacy_erasure',
    });
    expect(answer.status).toBe(200);
    expect(results(answer.body)).toEqual(
      [0, 1].map((n) => ({
        session_id: ids[n],
        session_number: numbers[n],
        face_retention_outcome: 'none',
        biometric_template_uuid: null,
      })),
    );
    for (const [n, id] of ids.entries()) {
      const { status } = await api.call(api.issuer, 'GET', `/v3/session/${id}/decision/`);
      expect(status).toBe(n < 2 ? 404 : 200);
    }
    expect(await numberOf(api.issuer, business)).toBe(1);
    expect((await remove(api.issuer, { session_numbers: numbers.slice(0, 2) })).body).toEqual({ results: [] });
    const [living, real] = await counted(api.issuer);
    expect(living).toBe(real);
  });

  it('refuses imports of what is gone, and frees the pairs of imports', async () => {
    const gone = await takeIn(api, api.issuer);
    const kept = await takeIn(api, api.issuer);
    const tokens = [await mint(api, api.issuer, gone, api.partner), await mint(api, api.issuer, kept, api.partner)];
    const redeem = (share_token: string) =>
      api.call(api.partner, 'POST', '/v3/session/import-shared/', {
        share_token,
        workflow_id: api.partner.workflows.user,
      });
    await remove(api.issuer, { session_numbers: [await numberOf(api.issuer, gone)] });
    expect(await redeem(tokens[0] ?? '')).toMatchObject({ status: 404, body: { code: 'source_session_gone' } });
    const imported = await redeem(tokens[1] ?? '');
    await remove(api.partner, { session_numbers: [Number(imported.body['session_number'])] });
    expect(await redeem(tokens[1] ?? '')).toMatchObject({ status: 403, body: { code: 'already_imported' } });
    expect((await redeem(await mint(api, api.issuer, kept, api.partner))).status).toBe(201);
  });

  it('deletes all user sessions of its application and of no other, in batches', async () => {
    const brand = await api.newBrand();
    const other = await some(api.third, 2);
    const business = await takeIn(api, brand, businessDocument());
    await takeIn(api, brand);
    await api.database.pool.query(
      `insert into session (session_id, application_id, session_kind, session_number, status, environment, created_at, updated_at)
       select gen_random_uuid(), $1, 'user', n, 'Approved', 'sandbox', now(), now() from generate_series(2, 430) n`,
      [brand.id],
    );
    await api.database.pool.query(
      `update session_counter set last_number = 430, living = 430 where application_id = $1 and session_kind = 'user'`,
      [brand.id],
    );
    const headers = { 'idempotency-key': randomUUID() };
    const answer = await remove(brand, { delete_all: true, session_numbers: [1] }, headers);
    expect(answer.status).toBe(200);
    expect(results(answer.body).map(({ session_number }) => session_number)).toEqual(
      Array.from({ length: 430 }, (_, n) => n + 1),
    );
    expect(await counted(brand)).toEqual([0, 0]);
    expect(await numberOf(brand, business)).toBe(1);
    for (const id of other.ids) expect(await numberOf(api.third, id)).toBeGreaterThan(0);

    // Its repeat under the same key deletes nothing that came since.
    const later = await takeIn(api, brand);
    const repeat = await remove(brand, { delete_all: true, session_numbers: [1] }, headers);
    expect(repeat).toMatchObject({ status: 200, body: { results: [] }, headers: { 'idempotent-replayed': 'true' } });
    expect(await numberOf(brand, later)).toBe(431);
  });

  it('deletes each once when calls meet', async () => {
    const { numbers } = await some(api.third, 6);
    const all = await Promise.all(Array.from({ length: 4 }, () => remove(api.third, { session_numbers: numbers })));
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(all.flatMap(({ body }) => results(body)).length).toBe(6);
    const [living, real] = await counted(api.third);
    expect(living).toBe(real);
  });

  it.each<[JsonObject, string, RegExp]>([
    [{}, 'session_numbers', /required unless delete_all/],
    [{ delete_all: false }, 'session_numbers', /required unless delete_all/],
    [{ session_numbers: [] }, 'session_numbers', /may not be empty/],
    [{ session_numbers: ['1', 'x'] }, 'session_numbers', /must be numeric/],
    [{ session_numbers: [1.5] }, 'session_numbers', /must be numeric/],
    [{ session_numbers: [null] }, 'session_numbers', /must be numeric/],
    [{ session_numbers: [['7']] }, 'session_numbers', /must be numeric/],
    [{ session_numbers: '1' }, 'session_numbers', /list/],
    [{ delete_all: 'yes' }, 'delete_all', /boolean/],
    [{ delete_all: true, face_retention_days: 0 }, 'face_retention_days', /1 to 3650/],
    [{ delete_all: true, face_retention_deadline: 'soon' }, 'face_retention_deadline', /ISO 8601/],
    [{ delete_all: true, retain_face_embeddings: true }, 'face_retention_days', /finite/],
    [
      { delete_all: true, retain_face_embeddings: true, deletion_instruction: 'privacy_erasure' },
      'retain_face_embeddings',
      /Privacy erasure cannot retain/,
    ],
  ])('refuses %j', async (body, field, sentence) => {
    await some(api.third, 1);
    const before = await api.rows();
    const answer = await remove(api.third, body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(String((answer.body[field] as string[])[0])).toMatch(sentence);
    expect(await api.rows()).toEqual(before);
  });

  it('needs a key with the privilege', async () => {
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect(await remove(reader, { delete_all: true })).toMatchObject({ status: 403 });
    expect(await remove(null, { delete_all: true })).toMatchObject({ status: 401 });
  });
});

describe('DELETE /v3/session/{id}/delete/ with a body', () => {
  it('checks what it says of face templates, and keeps none', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const path = `/v3/session/${sessionId}/delete/`;
    expect(await api.call(api.issuer, 'DELETE', path, { deletion_instruction: 'shred' })).toMatchObject({
      status: 400,
    });
    expect(await api.call(api.issuer, 'DELETE', path, { retain_face_embeddings: true })).toMatchObject({ status: 400 });
    const body = { retain_face_embeddings: true, face_retention_days: 30, face_retention_deadline: null };
    const answer = await api.call(api.issuer, 'DELETE', path, body);
    expect(answer).toMatchObject({
      status: 200,
      body: { face_retention_outcome: 'none', biometric_template_uuid: null },
    });
    expect(textOf(answer, 'session_id')).toBe(sessionId);
  });
});
