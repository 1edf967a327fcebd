import { beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import type { DestinationNotice } from '../../src/postgres/destination-upkeep.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { sealContextOfEvent } from '../../src/postgres/events.ts';
import { resetHealth } from '../../src/postgres/held-deliveries.ts';
import { tendDestinations } from '../../src/relay/webhook-upkeep.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { shareLab, type LabBrand } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
let owner: LabBrand;
let ailing: string;
let other: string;
beforeEach(async () => {
  await resetClock(lab.database.pool);
  await lab.rows('truncate delivery, outbox cascade');
  await lab.rows('update webhook_health set failing_since = null');
  owner = await lab.newBrand();
  [ailing, other] = [await destination('ailing'), await destination('other')];
});

async function destination(name: string): Promise<string> {
  const made = await lab.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, testSealer, {
      applicationId: owner.id,
      url: `https://${name}.example/`,
      label: name,
      subscribedEvents: ['status.updated', 'webhook.failing', 'webhook.disabled'],
    }),
  );
  return made?.destinationId ?? '';
}

/** Events whose deliveries at the ailing destination had an attempt now, or as the columns say. */
async function undelivered(count: number, columns: JsonObject = {}): Promise<void> {
  await lab.rows(
    `with r as (select coalesce(r.owner, 'run') as owner, coalesce(r.state, 'retrying') as state,
         coalesce(r.attempted, true) as attempted, coalesce(r.attempt_state, 'failed') as attempt_state,
         coalesce(r.sent, true) as sent, coalesce(r.url, (select url from webhook_destination where destination_id = $2)) as url
       from jsonb_to_record($4) as r(owner text, state text, attempted boolean, attempt_state text, sent boolean, url text)
     ), n as (select gen_random_uuid() as event_id, gen_random_uuid() as delivery_id from generate_series(1, $3)
     ), made as (
       insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
       select event_id, $1, 'status.updated', event_id, 1, 'system', '', '', event_id::text from n
     ), delivered as (
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner, state, attempts)
       select delivery_id, event_id, $2, $1, owner, state, 1 from n, r
     )
     insert into delivery_attempt
       (delivery_id, attempt, application_id, destination_id, request_url, state, started_at, request_headers)
     select delivery_id, 1, $1, $2, url, attempt_state, handoff_now(), case when sent then '{}'::jsonb end
     from n, r where attempted`,
    [owner.id, ailing, count, JSON.stringify(columns)],
  );
}

const failingSinceNow = () =>
  lab.rows('update webhook_health set failing_since = handoff_now() where destination_id = $1', [ailing]);
const wait = (by: string) => shiftClock(lab.database.pool, by);

async function tend(): Promise<DestinationNotice[]> {
  const notices: DestinationNotice[] = [];
  await tendDestinations(lab.handoff, (notice) => notices.push(notice));
  return notices;
}

const notice = (percent: 50 | 75 | 100): DestinationNotice => ({
  event: percent === 100 ? 'webhook.disabled' : 'webhook.failing',
  applicationId: owner.id,
  destinationId: ailing,
  percent,
});

/** The bodies of what the owner is told, oldest first. */
async function told(): Promise<JsonObject[]> {
  const rows = await lab.rows<{ event_id: string; payload: Buffer }>(
    `select event_id, payload from event join event_payload using (event_id)
     where event.application_id = $1 and type like 'webhook.%' order by sequence`,
    [owner.id],
  );
  return rows.map(({ event_id: eventId, payload }) => {
    const context = sealContextOfEvent({ applicationId: owner.id, sessionId: null, eventId });
    return testSealer.openPayload(context, payload) as JsonObject;
  });
}

const standing = () =>
  lab.rows(
    `select enabled, disabled_reason as reason, disabled_at is not null as timed, told_percent as told
     from webhook_destination join webhook_health using (destination_id) where destination_id = $1`,
    [ailing],
  );
const ENABLED = { enabled: true, reason: null, timed: false };

describe('a destination that nothing gets through to', () => {
  it('is told of after half and three quarters of five days, and then switched off: each once', async () => {
    await failingSinceNow();
    await undelivered(10);
    await wait('59 hours');
    expect(await tend()).toEqual([]);
    await wait('90 minutes');
    expect(await tend()).toEqual([notice(50)]);
    expect(await tend()).toEqual([]);
    await wait('29 hours');
    expect(await tend()).toEqual([]);
    await wait('1 hour');
    expect(await tend()).toEqual([notice(75)]);
    expect(await standing()).toEqual([{ ...ENABLED, told: 75 }]);
    await wait('30 hours');
    expect(await tend()).toEqual([notice(100)]);
    expect(await tend()).toEqual([]);
    expect(await standing()).toEqual([{ enabled: false, reason: 'failing', timed: true, told: 100 }]);
    expect(await lab.rows('select distinct state, owner from delivery')).toEqual([{ state: 'held', owner: 'sender' }]);

    const bodies = await told();
    const about = { application_id: owner.id, environment: 'sandbox', destination_id: ailing, label: 'ailing' };
    const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/) as unknown;
    const failing = { webhook_type: 'webhook.failing', ...about, failing_since: instant, disabled_after: instant };
    expect(bodies).toEqual([
      { ...failing, percent: 50 },
      { ...failing, percent: 75 },
      { webhook_type: 'webhook.disabled', ...about, reason: 'failing', disabled_at: instant },
    ]);
    const [since, after] = [bodies[0]?.['failing_since'], bodies[0]?.['disabled_after']].map((text) =>
      Date.parse(String(text)),
    );
    expect((after ?? 0) - (since ?? 0)).toBe(5 * 24 * 3_600_000);
  });

  it('is told of to the other destinations, which get it as any event', async () => {
    await failingSinceNow();
    await undelivered(10);
    for (const by of ['3 days', '1 day', '2 days']) {
      await wait(by);
      await tend();
      const wishes = await lab.rows<{ subject_id: string }>(`select subject_id from outbox where wish = 'dispatch'`);
      await lab.tenants.acrossTenants('relay', (sql) =>
        dispatchEvents(sql, { eventIds: wishes.map(({ subject_id }) => subject_id) }),
      );
    }
    expect(
      await lab.rows(
        `select destination_id, type, state from delivery join event using (event_id)
         where type like 'webhook.%' order by event.sequence`,
      ),
    ).toEqual([
      { destination_id: other, type: 'webhook.failing', state: 'pending' },
      { destination_id: other, type: 'webhook.failing', state: 'pending' },
      { destination_id: other, type: 'webhook.disabled', state: 'pending' },
    ]);
  });

  it('is left alone before ten events did not get through', async () => {
    await failingSinceNow();
    await undelivered(9);
    // What does not count: delivered since, never tried, a token's, a test, our own fault, a former URL, one of before.
    await undelivered(5, { sent: false });
    await undelivered(5, { url: 'https://former.example/' });
    await undelivered(5, { state: 'delivered' });
    await undelivered(5, { attempted: false, state: 'pending' });
    await undelivered(5, { owner: 'onboarding' });
    await undelivered(5, { owner: 'hand' });
    await undelivered(5, { attempt_state: 'started' });
    await wait('-1 hour');
    await undelivered(5);
    await wait('6 days');
    expect(await tend()).toEqual([]);
    expect(await standing()).toEqual([{ ...ENABLED, told: 0 }]);
    await undelivered(1, { attempt_state: 'unknown', sent: false });
    expect(await tend()).toEqual([notice(75)]);
  });

  it('is told of at least six hours before, however late it is found out', async () => {
    await failingSinceNow();
    await wait('6 days');
    // A quiet one: a failure days ago, and ten within a minute now.
    await undelivered(10);
    expect(await tend()).toEqual([notice(75)]);
    expect(await tend()).toEqual([]);
    const [body] = await told();
    const [now] = await lab.rows<{ at: Date }>('select handoff_now() as at');
    const leftMs = Date.parse(String(body?.['disabled_after'])) - Number(now?.at);
    expect(leftMs / 3_600_000).toBeCloseTo(6, 1);
    await wait('5 hours 50 minutes');
    expect(await tend()).toEqual([]);
    await wait('11 minutes');
    expect(await tend()).toEqual([notice(100)]);
  });

  it('that can’t be looked after keeps no other waiting, and is reported', async () => {
    const [stuck = '', next = ''] = [ailing, other].sort();
    ailing = next;
    await failingSinceNow();
    await undelivered(10);
    await wait('3 days');
    const notices: DestinationNotice[] = [];
    const broken: HandoffTenants = {
      ...lab.handoff,
      acrossTenants: (crossing, work) =>
        lab.handoff.acrossTenants(crossing, (tx, sql) => {
          const query: typeof sql.query = (text, values) =>
            values?.[0] === stuck ? Promise.reject(new Error('stuck')) : sql.query(text, values);
          return work(tx, { ...sql, query });
        }),
    };
    await lab.rows(
      `update webhook_health set failing_since = (select failing_since from webhook_health
      where destination_id = $1) where destination_id = $2`,
      [ailing, stuck],
    );
    await expect(tendDestinations(broken, (one) => notices.push(one))).rejects.toThrow('stuck');
    expect(notices).toEqual([notice(50)]);
  });

  it('counts from anew after a success', async () => {
    await failingSinceNow();
    await undelivered(10);
    await wait('3 days');
    expect(await tend()).toEqual([notice(50)]);
    await lab.tenants.withTenant(owner.id, async (sql) => resetHealth(sql, ailing));
    await wait('3 days');
    expect(await tend()).toEqual([]);
    await failingSinceNow();
    await wait('3 days');
    // The ten of before do not count.
    expect(await tend()).toEqual([]);
    await undelivered(10);
    expect(await tend()).toEqual([notice(50)]);
    expect(await told()).toHaveLength(2);
  });

  it.each(['enabled = false', 'enabled = false, deleted_at = handoff_now()'])(
    'is not looked after with %s',
    async (columns) => {
      await failingSinceNow();
      await undelivered(10);
      await wait('6 days');
      await lab.rows(`update webhook_destination set ${columns} where destination_id = $1`, [ailing]);
      expect(await tend()).toEqual([]);
      expect(await told()).toEqual([]);
    },
  );

  it('is told of once, however many relays look at the same time', async () => {
    await failingSinceNow();
    await undelivered(10);
    for (const [by, percent] of [
      ['61 hours', 50],
      ['30 hours', 75],
      ['30 hours', 100],
    ] as const) {
      await wait(by);
      expect((await Promise.all(Array.from({ length: 6 }, tend))).flat()).toEqual([notice(percent)]);
    }
    expect(await told()).toHaveLength(3);
    expect(await lab.rows(`select 1 from outbox where wish = 'dispatch'`)).toHaveLength(3);
  });
});
