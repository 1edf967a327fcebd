import { describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { testApi, textOf, type Brand } from './api.ts';
import { mint, takeIn } from './documents.ts';
import { sendAll } from './webhook-sends.ts';
import { testSealer } from '../support/app-parts.ts';

const api = testApi();
const ALL = '/v3/webhook/destinations/';
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
let serial = 0;
const body = () => ({ url: `https://receiver-${(serial += 1)}.example/hooks`, subscribed_events: ['status.updated'] });

describe('POST /v3/webhook/destinations/', () => {
  it('shows the secret in both forms, once, and stores it sealed', async () => {
    const { url } = body();
    const answer = await api.call(api.partner, 'POST', ALL, {
      url,
      subscribed_events: ['status.updated', 'share.received', 'status.updated'],
      webhook_version: 'v3',
      more: 'ignored, as Didit does',
    });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        label: new URL(url).host,
        url,
        enabled: true,
        webhook_version: 'v3',
        subscribed_events: ['status.updated', 'share.received'],
        payload_mode: 'full',
        didit_headers_signed_with: 'previous',
        status: 'active',
        disabled_reason: null,
        disabled_at: null,
        failing_since: null,
        paused_until: null,
        held_deliveries_count: 0,
        previous_secret_expires_at: null,
        ping: { status: 'pending', response_status: null, reason: null, attempted_at: null },
        summary: { total_deliveries: 0, failed_deliveries: 0, error_rate_percentage: 0, last_delivery_at: null },
      },
    });
    const secret = textOf(answer, 'secret_shared_key');
    expect(textOf(answer, 'secret_standard_webhooks')).toBe(
      `whsec_${Buffer.from(secret, 'base64url').toString('base64')}`,
    );
    const id = textOf(answer, 'uuid');
    const { secret_shared_key: _didit, secret_standard_webhooks: _standard, ...rest } = answer.body;
    expect(await api.call(api.partner, 'GET', `${ALL}${id}/`)).toMatchObject({ status: 200, body: rest });
    const stored = await api.database.pool.query('select sealed from webhook_secret where destination_id = $1', [id]);
    expect(stored.rowCount).toBe(1);
  });

  it('takes every event name of Didit’s, also of events that are not sent here', async () => {
    const subscribed_events = [
      'status.updated',
      'data.updated',
      'user.status.updated',
      'user.data.updated',
      'business.status.updated',
      'business.data.updated',
      'activity.created',
      'transaction.created',
      'transaction.status.updated',
      'travel_rule.status.updated',
    ];
    const made = await api.call(api.partner, 'POST', ALL, { ...body(), subscribed_events });
    expect(made).toMatchObject({ status: 201, body: { subscribed_events } });
    const changed = await api.call(api.partner, 'PATCH', `${ALL}${textOf(made, 'uuid')}/`, {
      subscribed_events: ['user.data.updated'],
    });
    expect(changed).toMatchObject({ status: 200, body: { subscribed_events: ['user.data.updated'] } });
  });

  it.each([
    [{}, 'url', 'This field is required.'],
    [{}, 'subscribed_events', 'This field is required.'],
    [{ subscribed_events: [] }, 'subscribed_events', 'At least one subscribed event is required.'],
    [{ subscribed_events: ['foo.bar'] }, 'subscribed_events', /^Unsupported webhook events: foo\.bar\./],
    [{ subscribed_events: 'status.updated' }, 'subscribed_events', 'Must be a list of event names.'],
    [{ url: 'http://receiver.example/' }, 'url', 'The URL must begin with https://.'],
    [{ url: 'https://127.0.0.1/' }, 'url', 'The URL names an IP address: use a host name.'],
    [{ url: 'receiver' }, 'url', /not a full address/],
    [{ url: 'https:receiver.example/' }, 'url', /write it as https:\/\/host\/path/],
    [{ url: 'https://@receiver.example/' }, 'url', /write it as https:\/\/host\/path/],
    [{ enabled: 'yes' }, 'enabled', 'Must be a valid boolean: true or false.'],
    [{ label: 'l'.repeat(256) }, 'label', 'Ensure this field has no more than 255 characters.'],
    [{ webhook_version: 'v4' }, 'webhook_version', 'Must be one of: v1, v2, v3.'],
    [{ payload_mode: 'slim' }, 'payload_mode', 'Must be one of: full, thin.'],
  ])('refuses %j on %s', async (wrong, field, sentence) => {
    const before = await api.rows();
    const sent = Object.keys(wrong).length === 0 ? {} : { ...body(), ...wrong };
    const answer = await api.call(api.partner, 'POST', ALL, sent);
    expect(answer.status).toBe(400);
    const [first] = answer.body[field] as string[];
    expect(first).toEqual(typeof sentence === 'string' ? sentence : expect.stringMatching(sentence));
    expect(await api.rows()).toEqual(before);
  });

  it('keeps one destination for each URL of an application', async () => {
    const sent = body();
    const first = await api.call(api.partner, 'POST', ALL, sent);
    const taken = { status: 400, body: { url: ['This webhook destination already exists for the application.'] } };
    expect(await api.call(api.partner, 'POST', ALL, sent)).toMatchObject(taken);
    const other = await api.call(api.partner, 'POST', ALL, body());
    expect(await api.call(api.partner, 'PATCH', `${ALL}${textOf(other, 'uuid')}/`, { url: sent.url })).toMatchObject(
      taken,
    );
    expect((await api.call(api.third, 'POST', ALL, sent)).status).toBe(201);
    expect((await api.call(api.partner, 'DELETE', `${ALL}${textOf(first, 'uuid')}`)).status).toBe(204);
    expect((await api.call(api.partner, 'POST', ALL, sent)).status).toBe(201);
  });
});

describe('the URL of a destination', () => {
  const taken = { status: 400, body: { url: ['This webhook destination already exists for the application.'] } };

  it('is kept in one spelling, so that an application has it once', async () => {
    const [brand, name] = [await api.newBrand(), `receiver-${(serial += 1)}.example`];
    const make = (url: string) => api.call(brand, 'POST', ALL, { ...body(), url });
    const first = await make(`HTTPS://${name.toUpperCase()}.:443/./hooks`);
    expect(first).toMatchObject({ status: 201, body: { url: `https://${name}/hooks`, label: name } });
    expect(await make(`https://${name}/hooks`)).toMatchObject(taken);
    const second = textOf(await make(`https://${name}`), 'uuid');
    const move = (url: string) => api.call(brand, 'PATCH', `${ALL}${second}/`, { url });
    expect(await move(`https://${name}/x/../hooks`)).toMatchObject(taken);
    expect(await move(`https://${name}:443`)).toMatchObject({ status: 200, body: { url: `https://${name}/` } });
  });

  it('that was kept in another spelling before stays until it is changed', async () => {
    const [brand, { url }] = [await api.newBrand(), body()];
    const id = textOf(await api.call(brand, 'POST', ALL, { ...body(), url }), 'uuid');
    const before = url.replace('https://', 'https:');
    await api.database.pool.query('update webhook_destination set url = $2 where destination_id = $1', [id, before]);
    expect((await api.call(brand, 'PATCH', `${ALL}${id}/`, { label: 'Old' })).body).toMatchObject({ url: before });
    expect((await api.call(brand, 'PATCH', `${ALL}${id}/`, { url })).body).toMatchObject({ url });
  });
});

describe('one destination', () => {
  it('changes, is listed without its secret, and goes', async () => {
    const brand = await api.newBrand();
    const first = textOf(await api.call(brand, 'POST', ALL, body()), 'uuid');
    const second = textOf(await api.call(brand, 'POST', ALL, body()), 'uuid');
    const changed = await api.call(brand, 'PATCH', `${ALL}${first}/`, {
      label: 'Production',
      enabled: false,
      subscribed_events: ['share.received', 'share.revoked'],
    });
    expect(changed).toMatchObject({
      status: 200,
      body: { label: 'Production', enabled: false, subscribed_events: ['share.received', 'share.revoked'] },
    });
    expect((await api.call(brand, 'PATCH', `${ALL}${first}/`, { url: 'http://x.example' })).status).toBe(400);
    const list = await api.call(brand, 'GET', ALL);
    expect(list).toMatchObject({
      status: 200,
      body: [
        { uuid: first, label: 'Production', subscribed_events_count: 2, deliveries_count: 0 },
        { uuid: second, subscribed_events_count: 1 },
      ],
    });
    expect(JSON.stringify(list.body)).not.toMatch(/whsec_|secret_s/);
    expect((await api.call(brand, 'DELETE', `${ALL}${first}/`)).status).toBe(204);
    expect((await api.call(brand, 'DELETE', `${ALL}${first}/`)).status).toBe(404);
    expect((await api.call(brand, 'GET', `${ALL}${first}/`)).status).toBe(404);
    expect((await api.call(brand, 'PATCH', `${ALL}${first}/`, { enabled: true })).status).toBe(404);
    const secrets = await api.database.pool.query('select 1 from webhook_secret where destination_id = $1', [first]);
    expect(secrets.rowCount).toBe(0);
  });

  it('is nobody else’s', async () => {
    const id = textOf(await api.call(api.partner, 'POST', ALL, body()), 'uuid');
    for (const other of [id, UNKNOWN, 'x']) {
      for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
        expect(await api.call(api.third, method, `${ALL}${other}/`, method === 'PATCH' ? {} : undefined)).toMatchObject(
          {
            status: 404,
            body: { code: 'destination_not_found', detail: 'Webhook destination not found.' },
          },
        );
      }
    }
    expect((await api.call(api.partner, 'GET', `${ALL}${id}/`)).status).toBe(200);
  });
});

describe('the ping of a new destination', () => {
  const pings = (id: string) =>
    api.database.pool
      .query<{ state: string }>(
        `select a.state from delivery_attempt a join delivery d using (delivery_id) join event e using (event_id)
         where a.destination_id = $1 and e.type = 'webhook.ping'`,
        [id],
      )
      .then(({ rows }) => rows.map(({ state }) => state));

  it.each([
    [204, 'delivered'],
    [500, 'failed'],
  ])('is signed and sent once, whatever it subscribes to, and told of: %d', async (status, outcome) => {
    const brand = await api.newBrand();
    await sendAll(api, 204);
    const made = await api.call(brand, 'POST', ALL, { ...body(), label: 'Receiver' });
    const id = textOf(made, 'uuid');
    const [ping, ...more] = await sendAll(api, status);
    expect(more).toEqual([]);
    if (ping === undefined) throw new Error('a ping was sent');
    expect(ping.url).toBe(made.body['url']);
    expect(ping.headers['x-didit-test-webhook']).toBe('true');
    expect(new Webhook(textOf(made, 'secret_standard_webhooks')).verify(ping.body, { ...ping.headers })).toMatchObject({
      webhook_type: 'webhook.ping',
      application_id: brand.id,
      environment: 'sandbox',
      destination_id: id,
      label: 'Receiver',
      metadata: { test_webhook: true },
      sequence: 1,
    });
    expect(await api.call(brand, 'GET', `${ALL}${id}/`)).toMatchObject({
      body: { enabled: true, ping: { status: outcome, response_status: status, reason: `http_${status}` } },
    });
    expect(await sendAll(api, 204)).toEqual([]);
    expect(await pings(id)).toEqual([outcome]);
  });

  it('is not sent to a disabled one, nor by whoever provisions', async () => {
    const brand = await api.newBrand();
    const disabled = await api.call(brand, 'POST', ALL, { ...body(), enabled: false });
    expect(disabled).toMatchObject({
      status: 201,
      body: { enabled: false, status: 'disabled', disabled_reason: 'owner', ping: null },
    });
    expect(textOf(disabled, 'disabled_at')).toMatch(/Z$/);
    const made = await api.tenants.withTenant(brand.id, (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: brand.id,
        url: 'https://provisioned.example/',
        subscribedEvents: ['share.minted'],
      }),
    );
    expect(await pings(textOf(disabled, 'uuid'))).toEqual([]);
    expect(await pings(made?.destinationId ?? '')).toEqual([]);
  });

  it('is sent once for one Idempotency-Key', async () => {
    const [brand, key, wanted] = [await api.newBrand(), { 'idempotency-key': 'ping-once' }, body()];
    const made = await api.call(brand, 'POST', ALL, wanted, key);
    await api.call(brand, 'POST', ALL, wanted, key);
    expect(await pings(textOf(made, 'uuid'))).toEqual(['pending']);
    await sendAll(api, 204);
  });
});

describe('PATCH /v3/webhook/destinations/{uuid}/', () => {
  /** A destination with one delivery of an event, which is due. */
  async function withDelivery(of: Brand): Promise<string> {
    const made = await api.call(of, 'POST', ALL, { ...body(), subscribed_events: ['share.minted'], enabled: false });
    const id = textOf(made, 'uuid');
    await api.call(of, 'PATCH', `${ALL}${id}/`, { enabled: true });
    await mint(api, of, await takeIn(api, of), api.partner);
    await api.tenants.acrossTenants('relay', async (sql) => {
      const events = await sql.query<{ id: string }>('select event_id as id from event where application_id = $1', [
        of.id,
      ]);
      await dispatchEvents(sql, { eventIds: events.map(({ id: eventId }) => eventId) });
    });
    return id;
  }
  const health = (id: string) =>
    api.database.pool
      .query<JsonObject>(
        `select consecutive_failures as failures, circuit_open_until is not null as open, failing_since is not null as failing,
           told_percent as told from webhook_health where destination_id = $1`,
        [id],
      )
      .then(({ rows }) => rows[0]);
  const spoil = (id: string) =>
    api.database.pool.query(
      `update webhook_health set consecutive_failures = 12, circuit_open_until = handoff_now() + interval '1 minute',
         failing_since = handoff_now() - interval '3 days', told_percent = 50 where destination_id = $1`,
      [id],
    );
  const HEALTHY = { failures: 0, open: false, failing: false, told: 0 };
  const FAILING = { failures: 12, open: true, failing: true, told: 50 };

  it('holds deliveries while it is disabled, and enabling it sends them with a schedule begun anew', async () => {
    const brand = await api.newBrand();
    const id = await withDelivery(brand);
    await sendAll(api, 500);
    const change = (wanted: JsonObject) => api.call(brand, 'PATCH', `${ALL}${id}/`, wanted);
    const off = await change({ enabled: false });
    expect(off).toMatchObject({
      status: 200,
      body: { enabled: false, status: 'disabled', disabled_reason: 'owner', held_deliveries_count: 1 },
    });
    // Saying it again changes nothing of it.
    expect(await change({ enabled: false, label: 'off' })).toMatchObject({
      body: { disabled_at: off.body['disabled_at'], held_deliveries_count: 1 },
    });
    expect(await sendAll(api, 204)).toEqual([]);
    await spoil(id);
    expect(await change({ enabled: true })).toMatchObject({
      body: { status: 'active', disabled_reason: null, disabled_at: null, held_deliveries_count: 0 },
    });
    expect(await health(id)).toEqual(HEALTHY);
    expect(await sendAll(api, 204)).toHaveLength(1);
    const { rows } = await api.database.pool.query(
      'select state, trigger, attempts, schedule_start from delivery where destination_id = $1',
      [id],
    );
    expect(rows).toEqual([{ state: 'delivered', trigger: 'replay', attempts: 2, schedule_start: 1 }]);
  });

  it('keeps why it was switched off until it is enabled; a new URL forgets how it fared and enables nothing', async () => {
    const brand = await api.newBrand();
    const id = textOf(await api.call(brand, 'POST', ALL, { ...body(), enabled: false }), 'uuid');
    const change = (wanted: JsonObject) => api.call(brand, 'PATCH', `${ALL}${id}/`, wanted);
    await api.database.pool.query(
      `update webhook_destination set disabled_reason = 'blocked' where destination_id = $1`,
      [id],
    );
    await spoil(id);
    const blocked = { enabled: false, status: 'blocked', disabled_reason: 'blocked' };
    expect(await change({ enabled: false, label: 'Still off' })).toMatchObject({ body: blocked });
    expect(await health(id)).toEqual(FAILING);
    expect(await change({ url: body().url })).toMatchObject({ body: { ...blocked, failing_since: null } });
    expect(await health(id)).toEqual(HEALTHY);
    expect(await change({ enabled: true })).toMatchObject({ body: { status: 'active', disabled_reason: null } });
    await spoil(id);
    // The same URL and state are no change.
    const { url } = (await change({})).body;
    expect(await change({ url: url ?? null, enabled: true })).toMatchObject({
      body: { status: 'failing', failing_since: expect.stringMatching(/Z$/) as string },
    });
    expect(await health(id)).toEqual(FAILING);
  });

  it('sets how bodies and Didit’s headers are made', async () => {
    const id = textOf(await api.call(api.partner, 'POST', ALL, { ...body(), payload_mode: 'thin' }), 'uuid');
    const change = (wanted: JsonObject) => api.call(api.partner, 'PATCH', `${ALL}${id}/`, wanted);
    expect(await change({ didit_headers_signed_with: 'current' })).toMatchObject({
      body: { payload_mode: 'thin', didit_headers_signed_with: 'current' },
    });
    expect(await change({ payload_mode: 'full', didit_headers_signed_with: 'previous' })).toMatchObject({
      body: { payload_mode: 'full', didit_headers_signed_with: 'previous' },
    });
    expect(await change({ didit_headers_signed_with: 'next' })).toMatchObject({
      status: 400,
      body: { didit_headers_signed_with: ['Must be one of: previous, current.'] },
    });
    await sendAll(api, 204);
  });

  it('ends what a deleted destination would be sent', async () => {
    const brand = await api.newBrand();
    const id = await withDelivery(brand);
    await api.call(brand, 'DELETE', `${ALL}${id}/`);
    expect(await sendAll(api, 204)).toEqual([]);
    const { rows } = await api.database.pool.query(
      'select state, ended_at is not null as ended from delivery where destination_id = $1',
      [id],
    );
    expect(rows).toEqual([{ state: 'stopped', ended: true }]);
  });
});
