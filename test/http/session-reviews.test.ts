import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';
import { statusEvents } from './session-events.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';

const update = (as: Brand | string | null, sessionId: string, body: unknown) =>
  api.call(as, 'PATCH', `/v3/session/${sessionId}/update-status/`, body);
const reviews = (as: Brand | string | null, sessionId: string, query = '') =>
  api.call(as, 'GET', `/v3/sessions/${sessionId}/reviews/${query}`);
const review = (as: Brand | string | null, sessionId: string, body: unknown, headers?: Record<string, string>) =>
  api.call(as, 'POST', `/v3/sessions/${sessionId}/reviews/`, body, headers);
const decision = async (as: Brand, sessionId: string) =>
  (await api.call(as, 'GET', `/v3/session/${sessionId}/decision/`)).body;
const redeem = (as: Brand, share_token: string, kind: 'user' | 'business' = 'user') =>
  api.call(as, 'POST', '/v3/session/import-shared/', {
    share_token,
    workflow_id: as.workflows[kind],
    trust_review: true,
  });
const results = (body: JsonObject) => body['results'] as JsonObject[];
const troubled = (status = 'In Review') =>
  userDocument({
    status,
    id_verifications: [{ status: 'Approved', node_id: 'ocr_1' }],
    face_matches: [
      {
        status: 'In Review',
        node_id: 'face_1',
        warnings: [{ risk: 'LOW_FACE_MATCH_SIMILARITY' }, { risk: 'not a code' }],
      },
    ],
    liveness_checks: [{ status: 'Declined' }],
  });

describe('PATCH /v3/session/{id}/update-status/', () => {
  it('gives a status, with a review, and tells it once with the decision', async () => {
    const sessionId = await takeIn(api, api.issuer, troubled());
    const before = await decision(api.issuer, sessionId);
    const answer = await update(api.issuer, sessionId, { new_status: 'Approved', comment: 'Looks fine' });
    expect(answer).toMatchObject({ status: 200, body: { session_id: sessionId } });
    const after = await decision(api.issuer, sessionId);
    expect(after).toEqual({
      ...before,
      status: 'Approved',
      reviews: [
        { user: 'API Client', new_status: 'Approved', comment: 'Looks fine', created_at: expect.stringMatching(/Z$/) },
      ],
    });
    expect(await statusEvents(api, sessionId)).toMatchObject([
      { status: 'Approved', decision: { status: 'Approved' } },
    ]);
    await update(api.issuer, sessionId, { new_status: 'Declined' });
    await update(api.issuer, sessionId, { new_status: 'Approved' });
    const told = (await statusEvents(api, sessionId)).map(({ status }) => status);
    expect(told).toEqual(['Approved', 'Declined', 'Approved']);
    const stamps = await api.database.pool.query(
      'select 1 from session where session_id = $1 and updated_at > created_at',
      [sessionId],
    );
    expect(stamps.rowCount).toBe(1);
  });

  it('works for businesses, in their spelling', async () => {
    const sessionId = await takeIn(api, api.issuer, businessDocument());
    expect((await update(api.issuer, sessionId, { new_status: 'DECLINED' })).status).toBe(200);
    expect(await decision(api.issuer, sessionId)).toMatchObject({
      status: 'DECLINED',
      reviews: [{ new_status: 'DECLINED', comment: null }],
    });
    expect(await statusEvents(api, sessionId)).toMatchObject([
      { status: 'DECLINED', business_session_id: sessionId, decision: { status: 'DECLINED' } },
    ]);
    const [entity] = (
      await api.database.pool.query<{ id: string }>(
        `select entity_id as id from entity where application_id = $1 and session_kind = 'business' and vendor_data = 'biz-1'`,
        [api.issuer.id],
      )
    ).rows;
    const [told] = await statusEvents(api, sessionId);
    expect(told?.['vendor_business_id']).toBe(entity?.id);
    const unnamed = await takeIn(api, api.issuer, businessDocument({ vendor_data: null }));
    await update(api.issuer, unnamed, { new_status: 'Declined' });
    expect(await statusEvents(api, unnamed)).toMatchObject([{ vendor_business_id: null }]);
    const imported = await redeem(api.partner, await mint(api, api.issuer, sessionId, api.partner), 'business');
    const [theirs] = await statusEvents(api, textOf(imported, 'session_id'));
    expect(theirs?.['vendor_business_id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(theirs?.['vendor_business_id']).not.toBe(entity?.id);
    const person = await takeIn(api, api.issuer);
    await update(api.issuer, person, { new_status: 'Declined' });
    expect((await statusEvents(api, person))[0]).not.toHaveProperty('vendor_business_id');
  });

  it('works for imports, which keep it from their source', async () => {
    const source = await takeIn(api, api.issuer);
    const imported = await redeem(api.partner, await mint(api, api.issuer, source, api.partner));
    const sessionId = textOf(imported, 'session_id');
    expect((await update(api.partner, sessionId, { new_status: 'Declined', comment: 'Not ours' })).status).toBe(200);
    expect(await decision(api.partner, sessionId)).toMatchObject({
      status: 'Declined',
      reviews: [{ comment: 'Not ours' }],
    });
    expect(await decision(api.issuer, source)).toMatchObject({ status: 'Approved', reviews: [] });
  });

  it('hands back the steps that did not pass, and says why', async () => {
    const sessionId = await takeIn(api, api.issuer, troubled());
    expect((await update(api.issuer, sessionId, { new_status: 'Resubmitted' })).status).toBe(200);
    const info = {
      nodes_to_resubmit: [
        { node_id: 'default', feature: 'LIVENESS' },
        { node_id: 'face_1', feature: 'FACE_MATCH' },
      ],
      reasons: [
        { node_id: 'default', risks: [] },
        { node_id: 'face_1', risks: ['LOW_FACE_MATCH_SIMILARITY'] },
      ],
    };
    const [event] = await statusEvents(api, sessionId);
    const sorted = (list: unknown) =>
      (list as { node_id: string }[]).toSorted((a, b) => a.node_id.localeCompare(b.node_id));
    const told = event?.['resubmit_info'] as JsonObject;
    expect(sorted(told['nodes_to_resubmit'])).toEqual(info.nodes_to_resubmit);
    expect(sorted(told['reasons'])).toEqual(info.reasons);
    expect(event).not.toHaveProperty('decision');
    const [item] = results((await reviews(api.issuer, sessionId)).body);
    expect(item).toMatchObject({ metadata: told, new_status: 'Resubmitted', previous_status: 'In Review' });
  });

  it('hands back the steps that are named', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const nothing = await update(api.issuer, sessionId, { new_status: 'Resubmitted' });
    expect(nothing).toMatchObject({
      status: 400,
      body: { nodes_to_resubmit: [expect.stringMatching(/No features found that need resubmission/)] },
    });
    const nodes_to_resubmit = [{ node_id: 'feature_ocr_1', feature: 'ID_VERIFICATION' }];
    expect((await update(api.issuer, sessionId, { new_status: 'RESUBMITTED', nodes_to_resubmit })).status).toBe(200);
    expect(await statusEvents(api, sessionId)).toMatchObject([{ resubmit_info: { nodes_to_resubmit } }]);
  });

  it('takes no step that the session does not have', async () => {
    const resubmit = (sessionId: string, ...nodes_to_resubmit: JsonObject[]) =>
      update(api.issuer, sessionId, { new_status: 'Resubmitted', nodes_to_resubmit });
    const withIds = await takeIn(api, api.issuer, troubled());
    for (const node of [
      { node_id: 'face_9', feature: 'FACE_MATCH' },
      { node_id: 'face_1', feature: 'OCR' },
      { node_id: 'default', feature: 'AML' },
    ]) {
      const refused = await resubmit(withIds, { node_id: 'face_1', feature: 'FACE_MATCH' }, node);
      expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
      expect(String(refused.body['nodes_to_resubmit'])).toContain(`${node.node_id} (${node.feature})`);
      expect(String(refused.body['nodes_to_resubmit'])).not.toContain('face_1 (FACE_MATCH)');
    }
    const known = [
      { node_id: 'ocr_1', feature: 'OCR_BACK' },
      { node_id: 'default', feature: 'LIVENESS' },
    ];
    expect((await resubmit(withIds, ...known)).status).toBe(200);

    const without = await takeIn(api, api.issuer);
    expect(await resubmit(without, { node_id: 'any', feature: 'AML' })).toMatchObject({ status: 400 });
    expect((await resubmit(without, { node_id: 'any', feature: 'OCR' })).status).toBe(200);
    const stated = await takeIn(api, api.issuer, userDocument({ features: ['ID_VERIFICATION', 'AML'] }));
    expect((await resubmit(stated, { node_id: 'any', feature: 'AML' })).status).toBe(200);
  });

  it('makes an import of an earlier token impossible when the source is resubmitted', async () => {
    const sessionId = await takeIn(api, api.issuer, troubled());
    const token = await mint(api, api.issuer, sessionId, api.partner);
    await update(api.issuer, sessionId, { new_status: 'Resubmitted' });
    expect(await redeem(api.partner, token)).toMatchObject({ status: 403, body: { code: 'source_not_shareable' } });
    await update(api.issuer, sessionId, { new_status: 'Declined' });
    expect(await redeem(api.partner, token)).toMatchObject({ status: 201, body: { status: 'Declined' } });
  });

  it.each<[string, JsonObject, string, RegExp]>([
    ['nothing', {}, 'new_status', /^This field is required/],
    ['no status', { new_status: 'Bogus' }, 'new_status', /^"Bogus" is not a valid choice/],
    ['a status that nobody gives', { new_status: 'In Review' }, 'new_status', /only update the status to 'Approved'/],
    ['the same status', { new_status: 'APPROVED' }, 'new_status', /same as the current/],
    ['a number', { new_status: 7 }, 'new_status', /./],
    ['mail to nobody', { new_status: 'Declined', send_email: true }, 'email_address', /required when send_email/],
    [
      'a parent step',
      { new_status: 'Resubmitted', nodes_to_resubmit: [{ node_id: 'x', feature: 'KYB_REGISTRY' }] },
      'nodes_to_resubmit',
      /cannot be resubmitted directly: KYB_REGISTRY/,
    ],
    [
      'no step',
      { new_status: 'Resubmitted', nodes_to_resubmit: [{ node_id: 'x', feature: 'X' }] },
      'nodes_to_resubmit.0.feature',
      /Valid choices are/,
    ],
    [
      'a step without id',
      { new_status: 'Resubmitted', nodes_to_resubmit: [{ feature: 'OCR' }] },
      'nodes_to_resubmit.0.node_id',
      /required/,
    ],
    ['no list', { new_status: 'Resubmitted', nodes_to_resubmit: 'OCR' }, 'nodes_to_resubmit', /list/],
    ['a long comment', { new_status: 'Declined', comment: 'x'.repeat(5001) }, 'comment', /5000/],
  ])('refuses %s', async (_what, body, field, sentence) => {
    const sessionId = await takeIn(api, api.issuer);
    const before = await api.rows();
    const answer = await update(api.issuer, sessionId, body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(String((answer.body[field] as string[])[0])).toMatch(sentence);
    expect(await api.rows()).toEqual(before);
  });

  it('takes an address for the mail that it does not send', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const body = { new_status: 'Declined', send_email: true, email_address: 'a@example.com', email_language: 'pt-BR' };
    expect((await update(api.issuer, sessionId, body)).status).toBe(200);
  });

  it('looks at the current status before the body, and at the session before that', async () => {
    const made = await api.call(api.issuer, 'POST', '/v3/session/', { workflow_id: api.issuer.workflows.business });
    const refused = await update(api.issuer, textOf(made, 'session_id'), {});
    expect(refused).toMatchObject({ status: 400, body: { code: 'session_not_updatable', status: 'NOT_STARTED' } });
    expect(await update(api.issuer, UNKNOWN, {})).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    expect(await update(api.issuer, 'nothing', {})).toMatchObject({ status: 404 });
    const sessionId = await takeIn(api, api.issuer);
    expect(await update(api.third, sessionId, { new_status: 'Declined' })).toMatchObject({ status: 404 });
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect(await update(reader, sessionId, { new_status: 'Declined' })).toMatchObject({ status: 403 });
    expect(await update(null, sessionId, {})).toMatchObject({ status: 401 });
  });

  it('happens once when many give the same verdict', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const all = await Promise.all(
      Array.from({ length: 8 }, () => update(api.issuer, sessionId, { new_status: 'Declined' })),
    );
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(all.filter(({ status }) => status === 400)).toHaveLength(7);
    expect(await statusEvents(api, sessionId)).toHaveLength(1);
    expect((await decision(api.issuer, sessionId))['reviews']).toHaveLength(1);
  });
});

describe('reviews', () => {
  it('are added without changing the session, and listed the newest first', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const before = await decision(api.issuer, sessionId);
    const added = await review(api.issuer, sessionId, { new_status: 'Declined', comment: 'I would not' });
    expect(added).toMatchObject({
      status: 201,
      body: { user: 'Unknown', new_status: 'Declined', comment: 'I would not', created_at: expect.any(String) },
    });
    expect(await review(api.issuer, sessionId, {})).toMatchObject({
      status: 201,
      body: { new_status: null, comment: null },
    });
    await update(api.issuer, sessionId, { new_status: 'Declined', comment: 'Now really' });
    const { body, status } = await reviews(api.issuer, sessionId);
    expect([status, body['count'], body['next']]).toEqual([200, 3, null]);
    expect(results(body)).toMatchObject([
      {
        activity_type: 'STATUS_UPDATED',
        actor_display: 'API Client',
        actor_email: null,
        actor_type: 'API_KEY',
        new_status: 'Declined',
        previous_status: 'Approved',
        comment: 'Now really',
        mentioned_emails: [],
        previous_value: null,
        new_value: null,
        changed_fields: [],
        metadata: null,
      },
      { activity_type: 'COMMENT', new_status: null, comment: null },
      { activity_type: 'COMMENT', actor_display: 'Unknown', new_status: 'Declined', comment: 'I would not' },
    ]);
    expect(new Set(results(body).map(({ uuid }) => uuid)).size).toBe(3);
    expect(await statusEvents(api, sessionId)).toHaveLength(1);
    expect(before['status']).toBe('Approved');
    const shown = (await decision(api.issuer, sessionId))['reviews'] as JsonObject[];
    expect(shown.map((one) => Object.keys(one))).toEqual(
      shown.map(() => ['user', 'new_status', 'comment', 'created_at']),
    );

    const oldest = await reviews(api.issuer, sessionId, '?ordering=created_at&limit=2');
    expect(results(oldest.body).map(({ comment }) => comment)).toEqual(['I would not', null]);
    expect(textOf(oldest, 'next')).toMatch(/ordering=created_at.*offset=2/);
    const unknown = await reviews(api.issuer, sessionId, '?ordering=nonsense&limit=1&offset=2');
    expect(results(unknown.body)).toMatchObject([{ comment: 'I would not' }]);
    expect(await reviews(api.issuer, sessionId, '?limit=0')).toMatchObject({ status: 400 });
  });

  it('of a business are listed too, in its spelling', async () => {
    const sessionId = await takeIn(api, api.issuer, businessDocument());
    expect(await review(api.issuer, sessionId, { new_status: 'Kyc Expired' })).toMatchObject({
      status: 201,
      body: { new_status: 'KYC_EXPIRED' },
    });
    expect(results((await reviews(api.issuer, sessionId)).body)).toMatchObject([{ new_status: 'KYC_EXPIRED' }]);
  });

  it('go along with an import without their author, and with a record from elsewhere as they were', async () => {
    const given = {
      user: 'dana@issuer.example',
      new_status: 'Approved',
      comment: 'Fine',
      created_at: '2026-01-02T03:04:05Z',
    };
    const sessionId = await takeIn(api, api.issuer, userDocument({ reviews: [given] }));
    await review(api.issuer, sessionId, { comment: 'Ours' });
    expect(results((await reviews(api.issuer, sessionId)).body)).toMatchObject([
      { comment: 'Ours', actor_type: 'API_KEY' },
      {
        activity_type: 'STATUS_UPDATED',
        actor_display: 'dana@issuer.example',
        actor_email: 'dana@issuer.example',
        actor_type: 'CONSOLE_USER',
        created_at: '2026-01-02T03:04:05Z',
      },
    ]);
    const imported = await redeem(api.partner, await mint(api, api.issuer, sessionId, api.partner));
    const clone = textOf(imported, 'session_id');
    expect(imported.body['reviews']).toMatchObject([
      { user: null, comment: 'Fine' },
      { user: null, comment: 'Ours' },
    ]);
    await review(api.partner, clone, { comment: 'Theirs' });
    const theirs = await reviews(api.partner, clone);
    expect(results(theirs.body)).toMatchObject([
      { comment: 'Theirs', actor_display: 'Unknown', actor_type: 'API_KEY' },
      { comment: 'Ours', actor_display: 'Unknown', actor_email: null, actor_type: 'SYSTEM' },
      { comment: 'Fine', actor_email: null },
    ]);
    expect(JSON.stringify(theirs.body)).not.toContain('dana');
  });

  it('are refused with wrong fields, to others, and to keys without the privilege', async () => {
    const sessionId = await takeIn(api, api.issuer);
    expect(await review(api.issuer, sessionId, { new_status: 'approved' })).toMatchObject({
      status: 400,
      body: { new_status: ['"approved" is not a valid choice.'] },
    });
    expect(await review(api.issuer, sessionId, { comment: 7 })).toMatchObject({ status: 400 });
    for (const id of [UNKNOWN, 'nothing']) {
      expect(await reviews(api.issuer, id)).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
      expect(await review(api.issuer, id, {})).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    }
    expect(await reviews(api.third, sessionId)).toMatchObject({ status: 404 });
    expect(await review(api.third, sessionId, {})).toMatchObject({ status: 404 });
    const reader = await api.newKey(api.issuer, { sessions: 'read' });
    expect(await reviews(reader, sessionId)).toMatchObject({ status: 200, body: { count: 0, results: [] } });
    expect(await review(reader, sessionId, {})).toMatchObject({ status: 403 });
    const other = await api.newKey(api.issuer, { webhooks: 'write' });
    expect(await reviews(other, sessionId)).toMatchObject({ status: 403 });
  });

  it('are added once under one Idempotency-Key', async () => {
    const sessionId = await takeIn(api, api.issuer);
    await review(api.issuer, sessionId, { comment: 'before' });
    const headers = { 'idempotency-key': randomUUID() };
    const first = await review(api.issuer, sessionId, { comment: 'once' }, headers);
    await review(api.issuer, sessionId, { comment: 'after' });
    const second = await review(api.issuer, sessionId, { comment: 'once' }, headers);
    expect(second).toMatchObject({ status: 201, body: first.body, headers: { 'idempotent-replayed': 'true' } });
    expect((await reviews(api.issuer, sessionId)).body['count']).toBe(3);
  });

  it('all arrive when they come at once', async () => {
    const sessionId = await takeIn(api, api.issuer);
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, n) => review(api.issuer, sessionId, { comment: String(n) })),
    );
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 201));
    const listed = results((await reviews(api.issuer, sessionId)).body).map(({ comment }) => comment);
    expect(new Set(listed)).toEqual(new Set(['0', '1', '2', '3', '4', '5', '6', '7']));
    expect(listed).toHaveLength(8);
  });
});
