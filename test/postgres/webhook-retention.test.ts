import { beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { readWorkerConfig } from '../../src/config.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { queueAttempt, readAttempt } from '../../src/postgres/delivery-log.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { forgetOldWebhooks } from '../../src/relay/webhook-upkeep.ts';
import { testContentEnv, testSealer } from '../support/app-parts.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { shareLab, type LabBrand } from '../support/share-lab.ts';

const lab = shareLab();
let owner: LabBrand;
let destinationId: string;
beforeEach(async () => {
  await resetClock(lab.database.pool);
  await lab.rows('truncate delivery, outbox, event_payload cascade');
  await lab.rows('delete from event');
  owner = await lab.newBrand();
  const made = await lab.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, testSealer, {
      applicationId: owner.id,
      url: 'https://receiver.example/',
      subscribedEvents: ['status.updated'],
    }),
  );
  destinationId = made?.destinationId ?? '';
});

/** Writes events and their deliveries, as the columns say; returns the events' ids. */
async function told(count: number, columns = ''): Promise<string[]> {
  const sessionId = newId();
  const before = await events();
  await lab.handoff.acrossTenants('relay', async (tx, sql) => {
    const body = { webhook_type: 'status.updated', session_id: sessionId };
    const made = Array.from({ length: count }, () => ({
      type: 'status.updated' as const,
      applicationId: owner.id,
      tokenId: null,
      sessionId,
      dedupeKey: newId(),
      body,
    }));
    tx.events.insert(made, { kind: 'system', id: null });
    const wishes = await sql.query<{ id: string }>(`select subject_id as id from outbox where wish = 'dispatch'`);
    await dispatchEvents(sql, { eventIds: wishes.map(({ id }) => id) });
  });
  const eventIds = (await events()).filter((id) => !before.includes(id));
  if (columns !== '') {
    await lab.rows(`update delivery set ${columns} where event_id = any ($1)`, [eventIds]);
  }
  return eventIds;
}

/** An attempt at an event's delivery. */
async function attempt(eventId: string, state = 'failed'): Promise<string> {
  const attemptId = newId();
  await lab.rows(
    `insert into delivery_attempt
       (attempt_id, delivery_id, attempt, application_id, destination_id, request_url, state, started_at, request_headers)
     select $2, delivery_id, 1, application_id, destination_id, '', $3, handoff_now(), '{"x-timestamp": "1"}'
     from delivery where event_id = $1`,
    [eventId, attemptId, state],
  );
  return attemptId;
}

const events = async () =>
  (await lab.rows<{ id: string }>('select event_id as id from event order by event_id')).map(({ id }) => id);
const payloads = async () =>
  (await lab.rows<{ id: string }>('select event_id as id from event_payload order by event_id')).map(({ id }) => id);
const deliveries = () =>
  lab.rows('select state, last_reason as reason, ended_at is not null as ended from delivery order by state');
const count = async (table: string) =>
  (await lab.rows<{ count: number }>(`select count(*)::int as count from ${table}`))[0]?.count;

const wait = (by: string) => shiftClock(lab.database.pool, by);
const RETENTION = { payloadDays: 30, logDays: 90 };
const forget = () => forgetOldWebhooks(lab.tenants, RETENTION);

describe('what an event told', () => {
  it('is deleted after its days, and the event and its number stay', async () => {
    const old = await told(2, `state = 'delivered', ended_at = handoff_now()`);
    await wait('10 days');
    const young = await told(1, `state = 'delivered', ended_at = handoff_now()`);
    await wait('19 days 23 hours');
    await forget();
    expect(await payloads()).toEqual([...old, ...young]);
    await wait('2 hours');
    await forget();
    expect(await payloads()).toEqual(young);
    expect(await events()).toEqual([...old, ...young]);
    expect(await count('event_sequence')).toBeGreaterThanOrEqual(2);
    expect(await deliveries()).toEqual(
      Array.from({ length: 3 }, () => ({ state: 'delivered', reason: null, ended: true })),
    );
  });

  it('ends the deliveries that would still carry it, and attempts by hand that nobody made yet', async () => {
    const [pending] = await told(1);
    const [held] = await told(1, `state = 'held'`);
    const [retrying] = await told(
      1,
      `state = 'retrying', owner = 'run', lease_until = handoff_now() + interval '1 year'`,
    );
    const [done] = await told(1, `state = 'exhausted', ended_at = handoff_now(), last_reason = 'http_500'`);
    if (!pending || !held || !retrying || !done) throw new Error('four events');
    const attemptId = await attempt(done);
    const byHand = await lab.tenants.withTenant(owner.id, async (sql) => queueAttempt(sql, owner.id, attemptId));
    await wait('31 days');
    await forget();
    expect(await payloads()).toEqual([]);
    const stopped = { state: 'stopped', reason: 'retention', ended: true };
    expect(await deliveries()).toEqual([
      { state: 'exhausted', reason: 'http_500', ended: true },
      stopped,
      stopped,
      stopped,
    ]);
    expect(await lab.rows('select state, reason from delivery_attempt where attempt_id = $1', [byHand])).toEqual([
      { state: 'failed', reason: 'retention' },
    ]);
  });

  it('goes with what receivers answered, which may repeat it; the rest of the log stays', async () => {
    const done = `state = 'delivered', ended_at = handoff_now()`;
    const [old = ''] = await told(1, done);
    const oldAttempt = await attempt(old);
    await wait('20 days');
    const [young = ''] = await told(1, done);
    const youngAttempt = await attempt(young, 'delivered');
    await lab.rows(`update delivery_attempt set response_head = '\\x00'::bytea || 'echo', response_status = 500`);
    await wait('11 days');
    await forget();
    expect(
      await lab.rows('select attempt_id as id, response_head as head, response_status as status from delivery_attempt'),
    ).toEqual(
      expect.arrayContaining([
        { id: oldAttempt, head: null, status: 500 },
        { id: youngAttempt, head: Buffer.from('\0echo'), status: 500 },
      ]),
    );
  });

  it.each([
    ['is being made', 'started'],
    ['is locked, as by whoever records it', 'delivered'],
  ])('stays for a round when an attempt of it %s, so that no answer outlives it', async (_what, state) => {
    const [busy = ''] = await told(1, `state = 'delivered', ended_at = handoff_now()`);
    const attemptId = await attempt(busy, state);
    await lab.rows(`update delivery_attempt set response_head = '\\x00'::bytea || 'echo' where state = 'delivered'`);
    await wait('31 days');
    const client = await lab.database.pool.connect();
    try {
      await client.query('begin');
      await client.query('select 1 from delivery_attempt where attempt_id = $1 for update', [attemptId]);
      await forget();
      expect(await payloads()).toEqual([busy]);
      await client.query('commit');
    } finally {
      client.release();
    }
    await lab.rows(`update delivery_attempt set state = 'delivered', response_head = '\\x00'::bytea || 'echo'`);
    await forget();
    expect(await payloads()).toEqual([]);
    expect(await lab.rows('select response_head as head from delivery_attempt')).toEqual([{ head: null }]);
  });

  it('is read as nothing then', async () => {
    const [eventId = ''] = await told(1, `state = 'delivered', ended_at = handoff_now()`);
    const which = { applicationId: owner.id, destinationId, attemptId: await attempt(eventId, 'delivered') };
    const read = () => lab.tenants.withTenant(owner.id, (sql) => readAttempt(sql, testSealer, which));
    expect(await read()).toMatchObject({
      eventId,
      payload: expect.stringContaining('"webhook_type":"status.updated"') as string,
    });
    await wait('31 days');
    await forget();
    expect(await read()).toMatchObject({ eventId, payload: null, status: 'delivered' });
  });

  it('stays for a round when a sender has its delivery locked, which it never waits for', async () => {
    const [busy = ''] = await told(1);
    await told(1);
    await wait('31 days');
    const client = await lab.database.pool.connect();
    try {
      await client.query('begin');
      await client.query('select 1 from delivery where event_id = $1 for update', [busy]);
      await forget();
      expect(await payloads()).toEqual([busy]);
      await client.query('commit');
    } finally {
      client.release();
    }
    await forget();
    expect(await payloads()).toEqual([]);
  });
});

describe('the log', () => {
  it('loses deliveries with their attempts after its days, and no others', async () => {
    const [old = ''] = await told(1, `state = 'exhausted', ended_at = handoff_now()`);
    await attempt(old);
    await wait('60 days');
    const [young = ''] = await told(1, `state = 'delivered', ended_at = handoff_now()`);
    await attempt(young);
    await wait('29 days');
    await forget();
    expect(await count('delivery')).toBe(2);
    await wait('2 days');
    await forget();
    expect(await lab.rows('select event_id from delivery')).toEqual([{ event_id: young }]);
    expect(await count('delivery_attempt')).toBe(1);
    expect(await events()).toEqual([old, young]);
  });

  it('keeps a delivery that has not ended', async () => {
    await told(1, `created_at = handoff_now() - interval '91 days'`);
    await forget();
    expect(await deliveries()).toEqual([{ state: 'pending', reason: null, ended: false }]);
  });
});

it('goes batch by batch, several relays at once', async () => {
  await told(1_200);
  await wait('91 days');
  expect(await forget()).toBe(true);
  expect(await count('event_payload')).toBe(700);
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      while (await forget());
    }),
  );
  await forget();
  expect([await count('event_payload'), await count('delivery')]).toEqual([0, 0]);
  expect(await count('event')).toBe(1_200);
});

describe('the settings', () => {
  const read = (env: Record<string, string>) =>
    readWorkerConfig({ DATABASE_URL: 'postgres://db/handoff', ...testContentEnv(), ...env });

  it.each([
    [{}, { payloadDays: 30, logDays: 90 }],
    [
      { WEBHOOK_PAYLOAD_DAYS: '', WEBHOOK_LOG_DAYS: '' },
      { payloadDays: 30, logDays: 90 },
    ],
    [
      { WEBHOOK_PAYLOAD_DAYS: '1', WEBHOOK_LOG_DAYS: '1' },
      { payloadDays: 1, logDays: 1 },
    ],
    [
      { WEBHOOK_PAYLOAD_DAYS: '365', WEBHOOK_LOG_DAYS: '365' },
      { payloadDays: 365, logDays: 365 },
    ],
  ])('%j', (env, webhookRetention) => {
    expect(read(env)).toMatchObject({ webhookRetention });
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ WEBHOOK_PAYLOAD_DAYS: '0' }, /^WEBHOOK_PAYLOAD_DAYS must be a whole number from 1 to 365$/],
    [
      { WEBHOOK_PAYLOAD_DAYS: '366', WEBHOOK_LOG_DAYS: '366' },
      /^WEBHOOK_PAYLOAD_DAYS must be a whole number from 1 to 365$/,
    ],
    [{ WEBHOOK_LOG_DAYS: 'long' }, /^WEBHOOK_LOG_DAYS must be a whole number from 1 to 3650$/],
    [{ WEBHOOK_LOG_DAYS: '29' }, /^WEBHOOK_LOG_DAYS must be WEBHOOK_PAYLOAD_DAYS \(30\) or more$/],
    [{ WEBHOOK_PAYLOAD_DAYS: '100' }, /^WEBHOOK_LOG_DAYS must be WEBHOOK_PAYLOAD_DAYS \(100\) or more$/],
  ])('%j is a problem', (env, problem) => {
    expect(read(env)).toEqual({ problems: [expect.stringMatching(problem)] });
  });
});
