import { describe, expect, it } from 'vitest';
import { testApi, textOf } from './api.ts';

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
    [{ enabled: 'yes' }, 'enabled', 'Must be a valid boolean: true or false.'],
    [{ label: 'l'.repeat(256) }, 'label', 'Ensure this field has no more than 255 characters.'],
    [{ webhook_version: 'v4' }, 'webhook_version', 'Must be one of: v1, v2, v3.'],
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
    expect(JSON.stringify(list.body)).not.toContain('secret');
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
