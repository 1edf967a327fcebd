import { beforeEach, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { EventType } from '../../src/domain/events.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { insertEvent } from '../../src/postgres/events.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { listMissed, recoverDeliveries, replayMissing, takeForRepair } from '../../src/postgres/webhook-repair.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { sendAll, sendSoon, type Sent } from './webhook-sends.ts';
import { testSealer } from '../support/app-parts.ts';

const api = testApi();
const ALL = '/v3/webhook/destinations/';
const UNKNOWN = '0198c0de-0000-7000-8000-000000000000';
let serial = 0;
let brand: Brand;
let id: string;
let secret: string;

const ours = (verb: string, of = id) => `/v1/webhook/destinations/${of}/${verb}/`;
const call = (verb: string, body?: unknown, headers = {}, as: Brand | string = brand) =>
  api.call(as, 'POST', ours(verb), body, headers);
const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString();
const LATELY = () => ({ since: ago(3_600) });
const missed = (query = `?since=${ago(3_600)}`, as: Brand | string = brand) =>
  api.call(as, 'GET', `${ours('missed')}${query}`);
const results = ({ body }: Answer) => body['results'] as JsonObject[];
/** Ids of the events that were sent, sorted. */
const eventsOf = (sent: readonly Sent[]) => sent.map(({ headers }) => String(headers['webhook-id']).slice(4)).sort();

/** Enabled afterwards, so that its ping is in nobody's way. */
async function destination(subscribed_events: readonly string[], of = brand): Promise<string> {
  serial += 1;
  const made = await api.call(of, 'POST', ALL, {
    url: `https://receiver-${serial}.example/hooks`,
    subscribed_events,
    enabled: false,
  });
  secret = textOf(made, 'secret_standard_webhooks');
  await api.call(of, 'PATCH', `${ALL}${textOf(made, 'uuid')}/`, { enabled: true });
  return textOf(made, 'uuid');
}

beforeEach(async () => {
  // What the test before left in line.
  while ((await sendAll(api, 204)).length > 0);
  brand = await api.newBrand();
  id = await destination(['share.minted', 'share.received']);
});

/** Events of this type for the brand, without their deliveries, so many seconds ago; resolves to their ids. */
async function tell(
  count = 1,
  { type = 'share.minted', secondsAgo = 60 }: { type?: EventType; secondsAgo?: number } = {},
) {
  const ids = Array.from({ length: count }, newId);
  await api.tenants.withTenant(brand.id, async (sql) => {
    for (const eventId of ids) {
      const body = { webhook_type: type, application_id: brand.id, note: 'told' };
      const event = { type, applicationId: brand.id, tokenId: null, sessionId: null, dedupeKey: eventId, body };
      insertEvent(sql, testSealer, eventId, event, { kind: 'system', id: null });
    }
  });
  // No role of ours may do this.
  await api.database.pool.query(
    `update event set created_at = handoff_now() - make_interval(secs => $2 - (nth - 1) / 1000.0)
     from unnest($1::uuid[]) with ordinality told(id, nth) where event_id = id`,
    [ids, secondsAgo],
  );
  return ids;
}

/** The same with their deliveries, which are due. */
async function tellAndDispatch(count = 1, about = {}): Promise<string[]> {
  const ids = await tell(count, about);
  await api.tenants.acrossTenants('relay', async (sql) => {
    sql.send(`insert into outbox (wish, subject_id) select 'dispatch', unnest($1::uuid[])`, [ids]);
    await dispatchEvents(sql, { eventIds: ids });
  });
  return ids;
}

const end = (eventId: string | undefined, state: string) =>
  api.database.pool.query(
    `update delivery set state = $2, ended_at = case when $2 = 'retrying' then null else handoff_now() end,
       owner = 'run', attempts = 12, next_at = handoff_now() + interval '1 day' where event_id = $1`,
    [eventId, state],
  );
const deliveries = async (): Promise<JsonObject[]> => {
  const { rows } = await api.database.pool.query<JsonObject>(
    `select v.state, v.owner, v.trigger, v.attempts, v.schedule_start as start from delivery v join event e using (event_id)
     where v.destination_id = $1 order by e.created_at, e.event_id`,
    [id],
  );
  return rows;
};

/** Whether what is due is in line by the age of its event. */
const inOrder = async () => {
  const { rows } = await api.database.pool.query<{ ok: boolean }>(
    `select coalesce(bool_and(age = place), false) as ok from (
       select row_number() over (order by e.created_at, e.event_id) as age,
         row_number() over (order by v.next_at, e.event_id) as place
       from delivery v join event e using (event_id) where v.destination_id = $1 and v.state = 'pending') line`,
    [id],
  );
  return rows[0]?.ok;
};

describe('POST …/test/', () => {
  it('is for no destination that is deleted meanwhile', async () => {
    const { pool } = api.database;
    const deleting = await pool.connect();
    await deleting.query('begin; lock table delivery in share row exclusive mode');
    const answered = call('test');
    await expect
      .poll(async () => (await pool.query('select 1 from pg_locks where not granted')).rowCount)
      .toBeGreaterThan(0);
    await deleting.query('update webhook_destination set deleted_at = handoff_now() where destination_id = $1', [id]);
    await deleting.query('commit');
    deleting.release();
    expect(await answered).toMatchObject({ status: 404, body: { code: 'destination_not_found' } });
  });

  it.each([204, 500])('sends a signed ping and answers with what came of it: %d', async (status) => {
    const answered = call('test');
    const [sent] = await sendSoon(api, status);
    if (sent === undefined) throw new Error('the test was sent');
    const answer = await answered;
    expect(answer).toMatchObject({
      status: 200,
      body: {
        webhook_type: 'webhook.ping',
        session_id: null,
        trigger: 'manual',
        status: status === 204 ? 'delivered' : 'failed',
        response_status: status,
        response_body: `answer ${status}`,
        reason: `http_${status}`,
      },
    });
    expect(sent.headers['x-didit-test-webhook']).toBe('true');
    const body = new Webhook(secret).verify(sent.body, { ...sent.headers }) as JsonObject;
    expect(body).toMatchObject({ metadata: { test_webhook: true }, event_id: answer.body['event_id'] });
    expect(answer.body['request_body']).toBe(sent.body);
    // It stands in the log, and is not tried again.
    const log = await api.call(brand, 'GET', `${ALL}${id}/deliveries/`);
    expect(results(log).map(({ uuid }) => uuid)).toEqual([answer.body['uuid']]);
    expect(await sendAll(api, 204)).toEqual([]);
    expect(await api.call(brand, 'GET', `${ALL}${id}/`)).toMatchObject({ body: { ping: { response_status: status } } });
  });

  it('only shows how a delivery would fare: its failure changes nothing for the destination', async () => {
    const answered = call('test');
    await sendSoon(api, 410);
    expect(await answered).toMatchObject({ body: { status: 'failed', reason: 'gone' } });
    expect(await api.call(brand, 'GET', `${ALL}${id}/`)).toMatchObject({
      body: { enabled: true, status: 'active', failing_since: null, ping: { status: 'failed', reason: 'gone' } },
    });
  });

  it('goes to a disabled destination, and is pending while nobody sends', async () => {
    await api.call(brand, 'PATCH', `${ALL}${id}/`, { enabled: false });
    const key = { 'idempotency-key': `test-${id}` };
    const one = await call('test', {}, key);
    expect(one).toMatchObject({ status: 200, body: { status: 'pending', reason: null, request_body: null } });
    const two = await call('test', {}, key);
    expect(two).toMatchObject({ status: 200, body: { uuid: one.body['uuid'] } });
    expect(two.headers['idempotent-replayed']).toBe('true');
    expect(await sendAll(api, 204)).toHaveLength(1);
    expect(await api.call(brand, 'GET', `${ALL}${id}/`)).toMatchObject({
      body: { enabled: false, ping: { status: 'delivered' } },
    });
  });
});

describe('POST …/recover/', () => {
  it('begins the schedule anew for what ended without success, and brings retries forward', async () => {
    const ids = await tellAndDispatch(6);
    await sendAll(api, 204);
    const [delivered, ...failed] = ids;
    for (const [index, state] of ['exhausted', 'gone', 'aborted', 'blocked', 'retrying'].entries()) {
      await end(failed[index], state);
    }
    expect(await call('recover', LATELY())).toMatchObject({ status: 200, body: { recovered: 5, more: false } });
    const due = { state: 'pending', owner: 'sender', trigger: 'replay', attempts: 12, start: 12 };
    expect(await deliveries()).toEqual([
      expect.objectContaining({ state: 'delivered', trigger: 'auto' }),
      ...failed.map(() => due),
    ]);
    expect(await inOrder()).toBe(true);
    // What is due already is not recovered again.
    expect(await call('recover', LATELY())).toMatchObject({ body: { recovered: 0, more: false } });
    const sent = await sendAll(api, 204);
    expect(eventsOf(sent)).toEqual([...failed].sort());
    expect(new Set(sent.map(({ headers }) => headers['webhook-attempt']))).toEqual(new Set(['13']));
    expect(eventsOf(sent)).not.toContain(delivered);
    const log = await api.call(brand, 'GET', `${ALL}${id}/deliveries/?limit=1`);
    const detail = await api.call(brand, 'GET', `${ALL}${id}/deliveries/${String(results(log)[0]?.['uuid'])}/`);
    expect(detail).toMatchObject({ body: { attempt: 13, trigger: 'replay', status: 'delivered' } });
  });

  it('looks at the events of that time alone, both its ends included', async () => {
    const [early] = await tellAndDispatch(1, { secondsAgo: 7_200 });
    const [late] = await tellAndDispatch(1, { secondsAgo: 600 });
    for (const one of [early, late]) await end(one, 'exhausted');
    const at = async (eventId: string | undefined) =>
      String(results(await missed(`?since=${ago(86_400)}`)).find((row) => row['event_id'] === eventId)?.['created_at']);
    const recovered = async (span: unknown) => (await call('recover', span)).body['recovered'];
    expect(await recovered({ since: ago(7_000), until: ago(700) })).toBe(0);
    const moment = await at(early);
    expect(await recovered({ since: moment, until: moment })).toBe(1);
    expect((await deliveries()).map(({ state }) => state)).toEqual(['pending', 'exhausted']);
    // The same moment in another zone.
    const elsewhere = new Date(Date.parse(await at(late)) + 5.5 * 3_600_000).toISOString().replace('Z', '+05:30');
    expect(await recovered({ since: elsewhere })).toBe(1);
  });

  it('leaves a token to its onboarding, a test alone, and what was deleted', async () => {
    const [token] = await tellAndDispatch();
    const [deleted] = await tellAndDispatch();
    await end(token, 'exhausted');
    await end(deleted, 'stopped');
    await api.database.pool.query(`update delivery set owner = 'onboarding' where event_id = $1`, [token]);
    await api.database.pool.query('delete from event_payload where event_id = $1', [deleted]);
    const answered = call('test');
    await sendSoon(api, 500);
    await answered;
    expect(await call('recover', LATELY())).toMatchObject({ body: { recovered: 0, more: false } });
    expect(await sendAll(api, 204)).toEqual([]);
  });

  it('stops at a limit, and goes on when it is asked again', async () => {
    const ids = await tellAndDispatch(5);
    for (const one of ids) await end(one, 'exhausted');
    const span = { since: ago(3_600), until: ago(0) };
    const batch = () => api.tenants.withTenant(brand.id, (sql) => recoverDeliveries(sql, brand.id, id, span, 2));
    expect(await batch()).toEqual({ count: 2, more: true });
    expect((await deliveries()).map(({ state }) => state)).toEqual([
      'pending',
      'pending',
      'exhausted',
      'exhausted',
      'exhausted',
    ]);
    expect(await batch()).toEqual({ count: 2, more: true });
    expect(await batch()).toEqual({ count: 1, more: false });
  });

  it('puts ten thousand in line by one call', async () => {
    await api.database.pool.query(
      `with told as (
         insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key, created_at)
         select gen_random_uuid(), $1::uuid, 'share.minted', $1::uuid, n, 'system', '', '', $1::uuid::text || n, handoff_now() - interval '1 minute'
         from generate_series(1, 10001) n returning event_id
       ), kept as (
         insert into event_payload (event_id, application_id, payload) select event_id, $1::uuid, $3 from told
       )
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner, state, attempts, ended_at)
       select gen_random_uuid(), event_id, $2, $1::uuid, 'sender', 'exhausted', 12, handoff_now() from told`,
      [
        brand.id,
        id,
        testSealer.sealPayload({ applicationId: brand.id, sessionId: id, category: 'event', position: 0 }, {}),
      ],
    );
    expect(await call('recover', LATELY())).toMatchObject({ body: { recovered: 10_000, more: true } });
    const key = { 'idempotency-key': `rest-${id}` };
    const rest = { status: 200, body: { recovered: 1, more: false } };
    const span = LATELY();
    expect(await call('recover', span, key)).toMatchObject(rest);
    expect(await call('recover', span, key)).toMatchObject(rest);
    await api.call(brand, 'DELETE', `${ALL}${id}/`);
    await api.database.pool.query(
      `update delivery set ended_at = handoff_now(), state = 'stopped' where destination_id = $1`,
      [id],
    );
  });
});

describe('POST …/replay-missing/', () => {
  it('sends what it subscribes to and never had a delivery of, also from before it was there', async () => {
    const before = await tell(2, { secondsAgo: 1_800 });
    const [known] = await tellAndDispatch();
    await end(known, 'exhausted');
    await tell(1, { type: 'share.revoked' });
    await tell(1, { type: 'share.received' });
    const later = await destination(['share.minted', 'share.received', 'webhook.disabled']);
    await tell(1, { type: 'webhook.disabled' });
    const key = { 'idempotency-key': `replay-${id}` };
    const span = LATELY();
    const two = { status: 200, body: { replayed: 2, more: false } };
    expect(await call('replay-missing', span, key)).toMatchObject(two);
    const again = await call('replay-missing', span, key);
    expect(again).toMatchObject(two);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(await call('replay-missing', span)).toMatchObject({ body: { replayed: 0, more: false } });
    expect(eventsOf(await sendAll(api, 204))).toEqual([...before].sort());
    expect((await deliveries()).map(({ state, trigger }) => [state, trigger])).toEqual([
      ['delivered', 'replay'],
      ['delivered', 'replay'],
      ['exhausted', 'auto'],
    ]);
    id = later;
    expect(await call('replay-missing', span)).toMatchObject({ body: { replayed: 3, more: false } });
    expect(await inOrder()).toBe(true);
    expect(eventsOf(await sendAll(api, 204))).toEqual([...before, String(known)].sort());
  });

  it('leaves alone what is on its way, deleted, or of another time', async () => {
    const [onItsWay] = await tell();
    const [deleted] = await tell();
    await tell(1, { secondsAgo: 7_200 });
    await api.database.pool.query(`insert into outbox (wish, subject_id) values ('dispatch', $1)`, [onItsWay]);
    await api.database.pool.query('delete from event_payload where event_id = $1', [deleted]);
    expect(await call('replay-missing', LATELY())).toMatchObject({ body: { replayed: 0, more: false } });
  });

  it('stops at a limit, oldest first', async () => {
    const ids = await tell(3);
    const span = { since: ago(3_600), until: ago(0) };
    const batch = () => api.tenants.withTenant(brand.id, (sql) => replayMissing(sql, brand.id, id, span, 2));
    expect(await batch()).toEqual({ count: 2, more: true });
    expect(eventsOf(await sendAll(api, 204))).toEqual(ids.slice(0, 2).sort());
    expect(await batch()).toEqual({ count: 1, more: false });
  });
});

describe('the rest of a destination', () => {
  const rest = (columns: string) =>
    api.database.pool.query(`update webhook_health set ${columns} where destination_id = $1`, [id]);
  const shown = async () => (await api.call(brand, 'GET', `${ALL}${id}/`)).body['paused_until'];

  it.each([
    ['recover', `circuit_open_until = handoff_now() + interval '1 hour'`],
    ['recover', `circuit_open_until = handoff_now(), probe_until = handoff_now() + interval '1 hour'`],
    ['replay-missing', `slow_until = handoff_now() + interval '1 hour'`],
  ])('is shown, and ended by %s: %s', async (verb, columns) => {
    await tellAndDispatch(2);
    expect(await shown()).toBeNull();
    await rest(
      `consecutive_failures = 12, failing_since = handoff_now() - interval '3 days', told_percent = 50, ${columns}`,
    );
    const until = await shown();
    expect(Date.parse(String(until))).toBeGreaterThan(Date.now() + 3_000_000);
    expect((await api.call(brand, 'GET', ALL)).body).toMatchObject([{ uuid: id, paused_until: until }]);
    expect(results(await missed()).map(({ next_attempt_at: at }) => at)).toEqual([until, until]);
    expect(await sendAll(api, 204)).toEqual([]);
    // What waits is due already, and not counted.
    const count = verb === 'recover' ? { recovered: 0 } : { replayed: 0 };
    expect(await call(verb, LATELY())).toMatchObject({ status: 200, body: count });
    expect(await shown()).toBeNull();
    const { rows } = await api.database.pool.query(
      `select consecutive_failures as failures, failing_since < handoff_now() - interval '2 days' as failing,
         told_percent as told, circuit_closed_at > handoff_now() - interval '1 minute' as closed
       from webhook_health where destination_id = $1`,
      [id],
    );
    expect(rows).toEqual([{ failures: 0, failing: true, told: 50, closed: true }]);
    expect(await sendAll(api, 204)).toHaveLength(2);
  });

  it('is over with its time, is none while it is disabled, and plans no attempt earlier than the schedule', async () => {
    const [eventId] = await tellAndDispatch();
    await end(eventId, 'retrying');
    await rest(`circuit_open_until = handoff_now() - interval '1 second'`);
    expect(await shown()).toBeNull();
    await rest(`slow_until = handoff_now() + interval '1 hour'`);
    const [row] = results(await missed());
    expect(Date.parse(String(row?.['next_attempt_at']))).toBeGreaterThan(Date.now() + 80_000_000);
    await api.call(brand, 'PATCH', `${ALL}${id}/`, { enabled: false });
    expect(await shown()).toBeNull();
  });
});

describe('GET …/missed/', () => {
  it('lists what it subscribes to and has not got, whatever the state, oldest first', async () => {
    const states = ['exhausted', 'held', 'retrying', 'gone', 'stopped'];
    const ids = await tellAndDispatch(states.length, { secondsAgo: 900 });
    for (const [index, state] of states.entries()) await end(ids[index], state);
    await api.database.pool.query(`update delivery set ended_at = null where state = 'held'`);
    const [token] = await tellAndDispatch(1, { type: 'share.received', secondsAgo: 800 });
    const [pending] = await tellAndDispatch(1, { secondsAgo: 700 });
    const [onItsWay] = await tell(1, { secondsAgo: 600 });
    await api.database.pool.query(`insert into outbox (wish, subject_id) values ('dispatch', $1)`, [onItsWay]);
    const [missing] = await tell(1, { secondsAgo: 500 });
    // Neither another type, nor a token that was sent to somebody else, nor what it got.
    await tell(1, { type: 'share.revoked' });
    await tell(1, { type: 'share.received' });
    const [got] = await tellAndDispatch(1, { secondsAgo: 400 });
    await end(got, 'delivered');

    const page = await missed();
    expect(results(page).map((row) => [row['event_id'], row['state']])).toEqual([
      ...ids.map((eventId, index) => [eventId, states[index]]),
      [token, 'pending'],
      [pending, 'pending'],
      [onItsWay, 'pending'],
      [missing, 'missing'],
    ]);
    expect(page.body['count']).toBe(9);
    expect(results(page)[0]).toEqual({
      event_id: ids[0],
      webhook_type: 'share.minted',
      session_id: null,
      token_id: null,
      sequence: 1,
      created_at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      state: 'exhausted',
      attempts: 12,
      last_reason: null,
      next_attempt_at: null,
    });
    const planned = results(page).map(({ next_attempt_at: at }) => at !== null);
    expect(planned).toEqual([false, false, true, false, false, true, true, false, false]);
    const second = await missed(`?since=${ago(3_600)}&limit=2&offset=1`);
    expect(results(second)).toEqual(results(page).slice(1, 3));
    expect(second.body['next']).toContain('offset=3');
    // The plus sign of a zone that is not encoded.
    expect(await missed('?since=2026-01-01T00:00:00+01:00&until=2026-01-02T00:00:00%2B01:00')).toMatchObject({
      status: 200,
      body: { count: 0 },
    });
  });

  it('leaves out what is deleted, unless it was to be sent', async () => {
    const [gone, missing] = await tell(2);
    const [stopped] = await tellAndDispatch(1, { secondsAgo: 30 });
    await end(stopped, 'stopped');
    await api.database.pool.query('delete from event_payload where event_id = any ($1)', [[gone, stopped]]);
    expect(results(await missed()).map((row) => row['event_id'])).toEqual([missing, stopped]);
  });

  it('counts so many at most, and shows no more', async () => {
    const ids = await tell(5);
    const span = { since: ago(3_600), until: ago(0) };
    const look = (page: { limit: number; offset: number }) =>
      api.tenants.withTenant(brand.id, (sql) => listMissed(sql, brand.id, id, span, page, 3));
    expect(await look({ limit: 2, offset: 0 })).toMatchObject({ count: 3, rows: [{ eventId: ids[0] }, {}] });
    expect((await look({ limit: 2, offset: 2 }))?.rows.map(({ eventId }) => eventId)).toEqual([ids[2]]);
    expect(await look({ limit: 2, offset: 4 })).toEqual({ count: 3, rows: [] });
  });

  it('tells of no test, though it subscribes to them', async () => {
    id = await destination(['webhook.ping']);
    await call('test');
    expect(await missed()).toMatchObject({ body: { count: 0, results: [] } });
    expect(await call('replay-missing', LATELY())).toMatchObject({ body: { replayed: 0 } });
    await sendAll(api, 500);
    expect(await missed()).toMatchObject({ body: { count: 0 } });
  });
});

describe('every repair', () => {
  const NO_TIME = 'Must be a time with its zone, such as 2026-11-23T09:15:00Z.';
  it.each([
    [{}, 'since', 'This field is required.'],
    [{ since: null }, 'since', 'This field may not be null.'],
    [{ since: '2026-11-23' }, 'since', NO_TIME],
    [{ since: '2026-11-23T09:15:00' }, 'since', NO_TIME],
    [{ since: '2026-02-30T09:15:00Z' }, 'since', NO_TIME],
    [{ since: '0000-01-01T00:00:00Z' }, 'since', NO_TIME],
    [{ since: '9999-12-31T23:59:59-23:00' }, 'since', NO_TIME],
    [{ since: 1_795_425_300 }, 'since', NO_TIME],
    [{ since: '2099-01-01T00:00:00Z' }, 'since', 'Must not be in the future.'],
    [{ since: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' }, 'until', 'Must not be before since.'],
    [{ since: '2026-01-01T00:00:00Z', until: 'now' }, 'until', NO_TIME],
    [
      { since: '2026-01-01T00:00:00Z', until: '2026-01-31T00:00:00.000001Z' },
      'since',
      'Must be 30 days before until at most: payloads are kept no longer.',
    ],
  ])('refuses %j on %s', async (span, field, sentence) => {
    for (const verb of ['recover', 'replay-missing']) {
      expect(await call(verb, span)).toMatchObject({ status: 400, body: { [field]: [sentence] } });
    }
    const query = Object.entries(span).map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
    if (query.includes('since=null')) return;
    expect(await missed(`?${query.join('&')}`)).toMatchObject({ status: 400, body: { [field]: [sentence] } });
  });

  it('takes thirty days, and no unknown field', async () => {
    const month = { since: '2026-01-01T00:00:00Z', until: '2026-01-31T00:00:00Z' };
    expect(await call('recover', month)).toMatchObject({ status: 200, body: { recovered: 0 } });
    for (const verb of ['recover', 'replay-missing', 'test']) {
      expect(await call(verb, { ...month, dry_run: true })).toMatchObject({
        status: 400,
        body: { dry_run: ['Unknown field: remove it.'] },
      });
    }
  });

  it('needs an enabled destination', async () => {
    await api.call(brand, 'PATCH', `${ALL}${id}/`, { enabled: false });
    for (const verb of ['recover', 'replay-missing']) {
      expect(await call(verb, LATELY())).toMatchObject({ status: 409, body: { code: 'destination_disabled' } });
    }
    expect((await missed()).status).toBe(200);
  });

  it('is alone: another one at the same time is refused, and waits for nothing', async () => {
    await api.tenants.withTenant(brand.id, async (sql) => {
      expect(await takeForRepair(sql, brand.id, id)).toBe('ready');
      for (const verb of ['recover', 'replay-missing']) {
        expect(await call(verb, LATELY())).toMatchObject({ status: 409, body: { code: 'repair_in_progress' } });
      }
    });
    expect((await call('recover', LATELY())).status).toBe(200);
  });

  it('needs its privilege, and what sends events that of reading sessions as well', async () => {
    const reader = await api.newKey(brand, { webhooks: 'read', sessions: 'read' });
    const writer = await api.newKey(brand, { webhooks: 'write' });
    const sender = await api.newKey(brand, { webhooks: 'write', sessions: 'read' });
    for (const verb of ['recover', 'replay-missing', 'test']) {
      expect(await call(verb, LATELY(), {}, reader)).toMatchObject({
        status: 403,
        body: { code: 'permission_denied' },
      });
      const body = verb === 'test' ? {} : LATELY();
      expect((await call(verb, body, {}, writer)).status).toBe(verb === 'test' ? 200 : 403);
      expect((await call(verb, body, {}, sender)).status).toBe(200);
    }
    expect((await missed(undefined, await api.newKey(brand, { webhooks: 'read' }))).status).toBe(200);
    expect((await missed(undefined, await api.newKey(brand, { sessions: 'write' }))).status).toBe(403);
    await sendAll(api, 204);
  });

  it('is nobody else’s', async () => {
    const [one] = await tellAndDispatch();
    await end(one, 'exhausted');
    const missing = { status: 404, body: { code: 'destination_not_found' } };
    for (const [as, which] of [
      [api.third, id],
      [brand, UNKNOWN],
      [brand, 'x'],
    ] as const) {
      for (const verb of ['recover', 'replay-missing', 'test']) {
        const body = verb === 'test' ? {} : LATELY();
        expect(await api.call(as, 'POST', ours(verb, which), body)).toMatchObject(missing);
      }
      expect(await api.call(as, 'GET', `${ours('missed', which)}?since=${ago(60)}`)).toMatchObject(missing);
    }
    expect((await deliveries()).map(({ state }) => state)).toEqual(['exhausted']);
    await api.call(brand, 'DELETE', `${ALL}${id}/`);
    expect(await call('recover', LATELY())).toMatchObject(missing);
    expect(await missed()).toMatchObject(missing);
  });
});
