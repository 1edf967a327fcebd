import { beforeAll, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { JsonObject } from '../../src/domain/json.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { attemptDelivery } from '../../src/webhooks/attempt-delivery.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { mint, takeIn } from './documents.ts';
import { receiver, sendAll, sendSoon, type Sent } from './webhook-sends.ts';

const api = testApi();
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
const ALL = '/v3/webhook/destinations/';
let serial = 0;

const send = (status: number) => sendAll(api, status);

/** Enabled afterwards: a destination that is made so gets a ping, which would stand in its log. */
async function destination(
  of: Brand,
  subscribed_events = ['share.minted', 'share.received'],
): Promise<{ id: string; secret: string }> {
  serial += 1;
  const made = await api.call(of, 'POST', ALL, {
    url: `https://receiver-${serial}.example/hooks`,
    subscribed_events,
    enabled: false,
  });
  const id = textOf(made, 'uuid');
  await api.call(of, 'PATCH', `${ALL}${id}/`, { enabled: true });
  return { id, secret: textOf(made, 'secret_standard_webhooks') };
}

/** An event for the issuer, dispatched. */
async function event(of: Brand): Promise<void> {
  await mint(api, of, await takeIn(api, of), api.partner);
  await api.tenants.acrossTenants('relay', async (sql) => {
    const events = await sql.query<{ id: string }>(`select event_id as id from event where application_id = $1`, [
      of.id,
    ]);
    await dispatchEvents(sql, { eventIds: events.map(({ id }) => id) });
  });
}

const results = (answer: Answer) => answer.body['results'] as JsonObject[];
const log = (of: Brand, id: string, query = '') => api.call(of, 'GET', `${ALL}${id}/deliveries/${query}`);
const resend = (of: Brand | string, id: string, attempt: unknown, headers = {}) =>
  api.call(of, 'POST', `${ALL}${id}/deliveries/${String(attempt)}/resend/`, undefined, headers);

describe('the log of a destination', () => {
  it('has every attempt as a row of its own, newest first', async () => {
    const brand = await api.newBrand();
    const { id } = await destination(brand);
    expect(await log(brand, id)).toMatchObject({ status: 200, body: { count: 0, results: [] } });
    await event(brand);
    await send(500);
    await event(brand);
    await send(204);
    const list = await log(brand, id);
    expect(list).toMatchObject({
      status: 200,
      body: {
        count: 2,
        results: [
          { response_status: 204, status: 'delivered', webhook_type: 'share.minted', response_time_ms: 12 },
          { response_status: 500, status: 'failed', request_url: `https://receiver-${serial}.example/hooks` },
        ],
      },
    });
    const second = await log(brand, id, '?limit=1&offset=1');
    expect(results(second)).toEqual(results(list).slice(1));
    expect(second.body).toMatchObject({ count: 2, next: null });
  });

  it('is bounded by days in UTC, both included', async () => {
    const brand = await api.newBrand();
    const { id } = await destination(brand);
    await event(brand);
    await send(204);
    await api.database.pool.query(
      `update delivery_attempt set created_at = '2026-03-01 23:30:00+00' where destination_id = $1`,
      [id],
    );
    const counts = await Promise.all(
      ['?date_from=2026-03-01&date_to=2026-03-01', '?date_from=2026-03-02', '?date_to=2026-02-28'].map(
        async (query) => (await log(brand, id, query)).body['count'],
      ),
    );
    expect(counts).toEqual([1, 0, 0]);
    for (const query of ['?date_from=2026-02-30', '?date_to=yesterday']) {
      const answer = await log(brand, id, query);
      expect(answer.status).toBe(400);
      expect(Object.values(answer.body)).toContainEqual(['Must be a day, written YYYY-MM-DD.']);
    }
  });

  it('is filtered by how attempts stand and by what they tell', async () => {
    const brand = await api.newBrand();
    const { id } = await destination(brand);
    await event(brand);
    await send(500);
    await event(brand);
    await send(204);
    await api.call(brand, 'POST', `/v1/webhook/destinations/${id}/test/`);
    const counts = await Promise.all(
      [
        '?status=failed',
        '?status=pending',
        '?status=unknown',
        '?webhook_type=share.minted',
        '?webhook_type=share.minted&status=delivered',
        '?webhook_type=webhook.ping',
      ].map(async (query) => {
        const { body } = await log(brand, id, query);
        return [body['count'], (body['results'] as JsonObject[]).length];
      }),
    );
    expect(counts).toEqual([1, 1, 0, 2, 1, 1].map((count) => [count, count]));
    expect(await log(brand, id, '?status=sent')).toMatchObject({
      status: 400,
      body: { status: ['Must be one of: pending, delivered, failed, unknown.'] },
    });
    expect((await log(brand, id, '?webhook_type=webhook.secret_rotated')).status).toBe(400);
    await send(204);
  });

  it('shows a body as it was sent, not as one would be sent now', async () => {
    const brand = await api.newBrand();
    const { id } = await destination(brand, ['status.updated']);
    const payloadMode = (payload_mode: string) => api.call(brand, 'PATCH', `${ALL}${id}/`, { payload_mode });
    await payloadMode('thin');
    const scenario = { workflow_id: brand.workflows.user, sandbox_scenario: 'approved' };
    const sessionId = textOf(await api.call(brand, 'POST', '/v3/session/', scenario), 'session_id');
    await api.tenants.acrossTenants('relay', async (sql) => {
      const told = await sql.query<{ id: string }>('select event_id as id from event where session_id = $1', [
        sessionId,
      ]);
      await dispatchEvents(sql, { eventIds: told.map(({ id: eventId }) => eventId) });
    });
    const [thin] = await send(204);
    await payloadMode('full');
    const [first] = results(await log(brand, id));
    await resend(brand, id, first?.['uuid']);
    const [full] = await send(204);
    await payloadMode('thin');
    const shown = async (attempt: JsonObject | undefined) =>
      textOf(await api.call(brand, 'GET', `${ALL}${id}/deliveries/${String(attempt?.['uuid'])}/`), 'request_body');
    const [second] = results(await log(brand, id));
    expect(await shown(first)).toBe(thin?.body);
    expect(thin?.body).toContain('"decision_omitted":true');
    expect(full?.body).toContain('"decision":');
    expect(Object.keys(JSON.parse(await shown(second)) as object)).toEqual(
      Object.keys(JSON.parse(full?.body ?? '') as object),
    );
  });

  it('shows one attempt with the headers and the body that were sent', async () => {
    const brand = await api.newBrand();
    const { id } = await destination(brand);
    await event(brand);
    const [sent] = await send(204);
    const [row] = results(await log(brand, id));
    const detail = await api.call(brand, 'GET', `${ALL}${id}/deliveries/${String(row?.['uuid'])}/`);
    expect(detail).toMatchObject({ status: 200, body: { ...row } });
    expect(JSON.parse(textOf(detail, 'request_header'))).toEqual(sent?.headers);
    expect(textOf(detail, 'request_body')).toBe(sent?.body);
    expect(detail.body).toMatchObject({
      event_id: sent?.headers['webhook-id']?.slice(4),
      attempt: 1,
      trigger: 'auto',
      reason: 'http_204',
      hint: null,
      response_body: 'answer 204',
      body_truncated: false,
      location_host: null,
    });
    const url = `${ALL}${id}/deliveries/${String(row?.['uuid'])}/`;
    const listsOnly = await api.newKey(brand, { webhooks: 'read' });
    expect(await api.call(listsOnly, 'GET', `${ALL}${id}/deliveries/`)).toMatchObject({ status: 200 });
    // A body tells as much as the session itself.
    expect(await api.call(listsOnly, 'GET', url)).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
    const both = await api.newKey(brand, { webhooks: 'read', sessions: 'read' });
    expect(await api.call(both, 'GET', url)).toMatchObject({ status: 200 });
  });

  it('is nobody else’s', async () => {
    const { id } = await destination(api.issuer);
    await event(api.issuer);
    await send(204);
    const [row] = results(await log(api.issuer, id));
    const attempt = String(row?.['uuid']);
    const own = await destination(api.third);
    expect(await log(api.third, id)).toMatchObject({ status: 404, body: { code: 'destination_not_found' } });
    for (const [where, which] of [
      [id, attempt],
      [own.id, attempt],
      [own.id, UNKNOWN],
      [own.id, 'x'],
    ] as const) {
      const missing = { status: 404, body: { code: 'delivery_not_found' } };
      expect(await api.call(api.third, 'GET', `${ALL}${where}/deliveries/${which}/`)).toMatchObject(missing);
      expect(await resend(api.third, where, which)).toMatchObject(missing);
    }
  });
});

describe('POST …/resend/', () => {
  let brand: Brand;
  let id: string;
  let secret: string;
  let first: string;
  beforeAll(async () => {
    brand = await api.newBrand();
    ({ id, secret } = await destination(brand));
    await event(brand);
    await send(500);
    first = String(results(await log(brand, id))[0]?.['uuid']);
  });

  it('sends the same event again, stamped and signed anew, and ends the schedule by its success', async () => {
    const [before] = results(await log(brand, id));
    const answer = await resend(brand, id, first);
    expect(answer).toMatchObject({
      status: 201,
      body: {
        session_id: before?.['session_id'],
        request_url: before?.['request_url'],
        webhook_type: 'share.minted',
        status: 'pending',
        response_status: null,
        response_time_ms: null,
      },
    });
    await shiftClock(api.database.pool, '1 minute');
    const [sent, ...more] = await send(200);
    await resetClock(api.database.pool);
    expect(more).toEqual([]);
    if (sent === undefined) throw new Error('the attempt was sent');
    const body = new Webhook(secret).verify(sent.body, { ...sent.headers }) as JsonObject;
    const [earlier] = await api.database.pool
      .query<{ headers: Record<string, string> }>(
        'select request_headers as headers from delivery_attempt where attempt_id = $1',
        [first],
      )
      .then(({ rows }) => rows);
    expect(sent.headers['webhook-id']).toBe(earlier?.headers['webhook-id']);
    expect(sent.headers['webhook-attempt']).toBe('2');
    expect(results(await log(brand, id)).map((row) => [row['attempt'], row['trigger'], row['reason']])).toEqual([
      [2, 'manual', 'http_200'],
      [1, 'auto', 'http_500'],
    ]);
    expect(new Set(results(await log(brand, id)).map((row) => `evt_${String(row['event_id'])}`))).toEqual(
      new Set([sent.headers['webhook-id']]),
    );
    expect(body['event_id']).toBe(sent.headers['webhook-id']?.slice(4));
    const states = await api.database.pool.query(
      `select d.state, d.attempts from delivery d join delivery_attempt a using (delivery_id) where a.attempt_id = $1`,
      [first],
    );
    expect(states.rows).toEqual([{ state: 'delivered', attempts: 1 }]);
    expect(results(await log(brand, id)).map(({ status }) => status)).toEqual(['delivered', 'failed']);
  });

  it('leaves the schedule alone when it fails', async () => {
    const other = await api.newBrand();
    const target = await destination(other);
    await event(other);
    await send(500);
    const [row] = results(await log(other, target.id));
    await resend(other, target.id, row?.['uuid']);
    await send(503);
    const states = await api.database.pool.query(
      `select d.state, d.attempts, d.ended_at from delivery d where d.destination_id = $1`,
      [target.id],
    );
    expect(states.rows).toEqual([{ state: 'retrying', attempts: 1, ended_at: null }]);
  });

  it('goes to a disabled destination, at the URL of then; never to a deleted one', async () => {
    const other = await api.newBrand();
    const target = await destination(other);
    await event(other);
    await send(500);
    const [row] = results(await log(other, target.id));
    await api.call(other, 'PATCH', `${ALL}${target.id}/`, { enabled: false, url: 'https://elsewhere.example/' });
    await resend(other, target.id, row?.['uuid']);
    expect((await send(204)).map(({ url }) => url)).toEqual([row?.['request_url']]);
    await resend(other, target.id, row?.['uuid']);
    await api.call(other, 'DELETE', `${ALL}${target.id}/`);
    expect(await send(204)).toEqual([]);
    expect((await log(other, target.id)).status).toBe(404);
    expect((await resend(other, target.id, row?.['uuid'])).status).toBe(404);
  });

  it('happens once for one Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'again-1' };
    const [one, two] = [await resend(brand, id, first, key), await resend(brand, id, first, key)];
    expect(two).toMatchObject({ status: 201, body: { uuid: one.body['uuid'] } });
    expect(two.headers['idempotent-replayed']).toBe('true');
    expect(await send(204)).toHaveLength(1);
  });

  it('needs both privileges, and no body', async () => {
    const denied = { status: 403, body: { code: 'permission_denied' } };
    expect(await resend(await api.newKey(brand, { webhooks: 'write' }), id, first)).toMatchObject(denied);
    expect(await resend(await api.newKey(brand, { webhooks: 'read', sessions: 'read' }), id, first)).toMatchObject(
      denied,
    );
    const both = await api.newKey(brand, { webhooks: 'write', sessions: 'read' });
    const url = `${ALL}${id}/deliveries/${first}/resend/`;
    expect(await api.call(both, 'POST', url, {})).toMatchObject({ status: 201 });
    expect(await api.call(both, 'POST', url, { ignored: 'as Didit does' })).toMatchObject({ status: 201 });
    await send(204);
  });

  it('is counted once by many senders', async () => {
    await Promise.all([1, 2, 3, 4].map(() => resend(brand, id, first)));
    const sent = await Promise.all([1, 2, 3].map(() => send(204)));
    expect(sent.flat()).toHaveLength(4);
  });
});

describe('the webhooks of a session', () => {
  const ofSession = (of: Brand | string, sessionId: unknown, query = '') =>
    api.call(of, 'GET', `/v3/session/${String(sessionId)}/webhooks/${query}`);
  const again = (of: Brand | string, sessionId: unknown, attempt: unknown, headers = {}) =>
    api.call(of, 'POST', `/v3/session/${String(sessionId)}/webhook/${String(attempt)}/resend`, undefined, headers);
  let brand: Brand;
  let first: JsonObject;
  beforeAll(async () => {
    brand = await api.newBrand();
    const { id } = await destination(brand);
    await event(brand);
    await send(500);
    await event(brand);
    await send(500);
    first = results(await log(brand, id))[1] ?? {};
  });

  it('are its own attempts alone', async () => {
    const list = await ofSession(brand, first['session_id']);
    expect(list).toMatchObject({ status: 200, body: { count: 1, next: null, results: [first] } });
    expect(await ofSession(brand, first['session_id'], '?offset=1')).toMatchObject({ body: { count: 1, results: [] } });
    for (const id of [UNKNOWN, 'x']) {
      expect(await ofSession(brand, id)).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    }
    expect(await ofSession(api.third, first['session_id'])).toMatchObject({ status: 404 });
    expect(await ofSession(await api.newKey(brand, { sessions: 'read' }), first['session_id'])).toMatchObject({
      status: 403,
    });
  });

  it.each([204, 500])('are sent again and answered with what came of it: %d', async (status) => {
    const answered = again(brand, first['session_id'], first['uuid']);
    const sent = await sendSoon(api, status);
    expect(await answered).toMatchObject({
      status: 200,
      body: { response_status: status, status: status === 204 ? 'delivered' : 'failed', webhook_type: 'share.minted' },
    });
    const { rows } = await api.database.pool.query<{ headers: Record<string, string> }>(
      'select request_headers as headers from delivery_attempt where attempt_id = $1',
      [first['uuid']],
    );
    expect(sent.map(({ headers }) => headers['webhook-id'])).toEqual([rows[0]?.headers['webhook-id']]);
  });

  it('are answered as pending when nobody sends them in time, once for one Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'again-session' };
    const one = await again(brand, first['session_id'], first['uuid'], key);
    expect(one).toMatchObject({ status: 200, body: { status: 'pending', response_status: null } });
    const two = await again(brand, first['session_id'], first['uuid'], key);
    expect(two).toMatchObject({ status: 200, body: { uuid: one.body['uuid'] } });
    expect(two.headers['idempotent-replayed']).toBe('true');
    expect(await send(204)).toHaveLength(1);
  });

  it('are nobody else’s, nor another session’s', async () => {
    const missing = { status: 404, body: { code: 'delivery_not_found' } };
    const other = await takeIn(api, brand);
    expect(await again(brand, other, first['uuid'])).toMatchObject(missing);
    expect(await again(brand, first['session_id'], UNKNOWN)).toMatchObject(missing);
    expect(await again(api.third, first['session_id'], first['uuid'])).toMatchObject({ status: 404 });
    expect(await again(await api.newKey(brand, { webhooks: 'write' }), other, first['uuid'])).toMatchObject({
      status: 403,
    });
    expect(await send(204)).toEqual([]);
  });
});

describe('a share token in the log', () => {
  const handoff = () => handoffTenants(api.tenants, testSealer, testBlindIndex);

  /** An onboarding whose token went to the partner's destination, which failed. */
  async function delivered(partner: Brand): Promise<{ tokenId: string; sent: Sent[] }> {
    const started = await api.call(api.issuer, 'POST', '/v1/onboardings/', {
      session_id: await takeIn(api, api.issuer),
      for_application_id: partner.id,
    });
    const tokenId = textOf(started, 'token_id');
    await handoff().acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));
    const ledger = tokenDeliveryLedger(handoff(), testSealer);
    const round = await ledger.begin(tokenId, 1);
    if (!round.open) throw new Error('the token can be delivered');
    const { tools, sent } = receiver(500);
    const records = await Promise.all(round.deliveries.map((one) => attemptDelivery(one, tools)));
    await ledger.finish(tokenId, { withToken: true, attempt: 1 }, records);
    return { tokenId, sent };
  }

  it('is null, and is sent again only while it can be used', async () => {
    const partner = await api.newBrand();
    const { id, secret } = await destination(partner);
    const { tokenId, sent } = await delivered(partner);
    const token = (JSON.parse(sent[0]?.body ?? '{}') as JsonObject)['share_token'];
    expect(token).toMatch(/^ey/);
    const [row] = results(await log(partner, id));
    expect(row).toMatchObject({ webhook_type: 'share.received', session_id: null, status: 'failed' });
    const detail = await api.call(partner, 'GET', `${ALL}${id}/deliveries/${String(row?.['uuid'])}/`);
    expect(JSON.stringify(detail.body)).not.toContain(String(token));
    expect(JSON.parse(textOf(detail, 'request_body'))).toMatchObject({ token_id: tokenId, share_token: null });

    expect((await resend(partner, id, row?.['uuid'])).status).toBe(201);
    const [again] = await send(204);
    expect(new Webhook(secret).verify(again?.body ?? '', { ...again?.headers })).toMatchObject({ share_token: token });
    // Its onboarding alone says when it is delivered.
    const [delivery] = (await api.database.pool.query('select state from delivery where destination_id = $1', [id]))
      .rows;
    expect(delivery).toEqual({ state: 'retrying' });

    await api.call(api.issuer, 'POST', `/v1/onboardings/${tokenId}/revoke/`);
    expect(await resend(partner, id, row?.['uuid'])).toMatchObject({
      status: 409,
      body: { code: 'delivery_token_ended' },
    });
    expect(await send(204)).toEqual([]);
  });
});

describe('a deleted session', () => {
  it('is told of by no delivery: what was sent is shown no more, and what was due is not sent', async () => {
    const owner = await api.newBrand();
    await destination(owner, ['status.updated']);
    const scenario = { workflow_id: owner.workflows.user, sandbox_scenario: 'approved' };
    const make = async () => {
      const sessionId = textOf(await api.call(owner, 'POST', '/v3/session/', scenario), 'session_id');
      await api.tenants.acrossTenants('relay', async (sql) => {
        const rows = await sql.query<{ id: string }>('select event_id as id from event where session_id = $1', [
          sessionId,
        ]);
        await dispatchEvents(sql, { eventIds: rows.map(({ id }) => id) });
      });
      return sessionId;
    };
    const told = await make();
    expect(await send(200)).toHaveLength(1);
    const { body } = await api.call(owner, 'GET', `/v3/session/${told}/webhooks/`);
    const [attempt] = body['results'] as JsonObject[];
    const [{ uuid: at } = {}] = (await api.call(owner, 'GET', ALL)).body as unknown as JsonObject[];
    const one = `${ALL}${String(at)}/deliveries/${String(attempt?.['uuid'])}/`;
    expect((await api.call(owner, 'GET', one)).body['request_body']).toContain('"decision":');
    const due = await make();

    for (const sessionId of [told, due]) {
      expect((await api.call(owner, 'DELETE', `/v3/session/${sessionId}/delete/`)).status).toBe(200);
    }
    expect(await send(200)).toEqual([]);
    expect(await api.call(owner, 'GET', one)).toMatchObject({ status: 200, body: { request_body: null } });
    for (const again of [`${one}resend/`, `/v3/session/${told}/webhook/${String(attempt?.['uuid'])}/resend/`]) {
      expect(await api.call(owner, 'POST', again)).toMatchObject({
        status: 409,
        body: { code: 'delivery_content_deleted' },
      });
    }
    const { rows } = await api.database.pool.query(
      `select d.state from delivery d join event e using (event_id) where e.session_id = $1`,
      [due],
    );
    expect(rows).toEqual([{ state: 'stopped' }]);
  });
});
