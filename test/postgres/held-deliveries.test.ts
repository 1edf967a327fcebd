import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import {
  holdDeliveries,
  movesToMake,
  releaseDeliveries,
  resetHealth,
  stopDeliveries,
} from '../../src/postgres/held-deliveries.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { deliveryLedger, DELIVERIES_CHANNEL, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { updateDestination } from '../../src/postgres/change-destination.ts';
import type { NewEvent } from '../../src/sharing/ports.ts';
import { attemptDelivery } from '../../src/webhooks/attempt-delivery.ts';
import type { PostOutcome, WebhookPoster } from '../../src/webhooks/http-post.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { listen } from '../../src/postgres/wake-up.ts';
import { moveDeliveries } from '../../src/relay/webhook-upkeep.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { deadlocksOf, shareLab, verbs, type LabBrand } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
let owner: LabBrand;
beforeEach(async () => {
  await lab.rows('truncate delivery cascade');
  owner = await lab.newBrand();
  await resetClock(lab.database.pool);
});

let urls = 0;
async function destination(): Promise<string> {
  const url = `https://receiver.example/${(urls += 1)}`;
  const made = await lab.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, testSealer, {
      applicationId: owner.id,
      url,
      subscribedEvents: ['status.updated'],
    }),
  );
  return made?.destinationId ?? '';
}

/** Writes events with a delivery each; the first is the oldest. */
async function deliveries(destinationId: string, count: number, columns = {}): Promise<void> {
  await lab.rows(
    `with n as (select n, gen_random_uuid() as event_id from generate_series(1, $3) n), made as (
       insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
       select event_id, $1, 'status.updated', event_id, 1, 'system', '', '', event_id::text from n
     )
     insert into delivery (delivery_id, event_id, destination_id, application_id, owner, state, attempts, lease_until,
       ended_at, created_at)
     select gen_random_uuid(), n.event_id, $2, $1, coalesce(r.owner, 'sender'), coalesce(r.state, 'pending'),
       coalesce(r.attempts, 0), r.lease_until, r.ended_at, handoff_now() - ($3 - n.n) * interval '1 second'
     from n, jsonb_to_record($4) as r(owner text, state text, attempts int, lease_until timestamptz, ended_at timestamptz)`,
    [owner.id, destinationId, count, JSON.stringify(columns)],
  );
}

const change = (destinationId: string, columns: string) =>
  lab.rows(`update webhook_destination set ${columns} where destination_id = $1`, [destinationId]);
const disable = (destinationId: string) => change(destinationId, 'enabled = false');
const enable = (destinationId: string) => change(destinationId, 'enabled = true');
const remove = (destinationId: string) => change(destinationId, 'enabled = false, deleted_at = handoff_now()');

const run = (work: typeof holdDeliveries, destinationId: string) =>
  lab.tenants.acrossTenants('relay', (sql) => work(sql, destinationId));
const moves = () => lab.tenants.acrossTenants('relay', movesToMake);

/** How many deliveries of a destination stand in each way. */
async function standing(destinationId: string): Promise<Record<string, number>> {
  const rows = await lab.rows<{ state: string; count: number }>(
    `select state || case when ended_at is null then '' else ' ended' end as state, count(*)::int as count
     from delivery where destination_id = $1 group by 1`,
    [destinationId],
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const LATER = '2999-01-01T00:00:00Z';
const EARLIER = '2001-01-01T00:00:00Z';

describe('holding', () => {
  it('takes what the senders and the runs have open, and nothing else', async () => {
    const id = await destination();
    await deliveries(id, 2);
    await deliveries(id, 3, { owner: 'run', state: 'retrying', attempts: 2 });
    await deliveries(id, 1, { lease_until: EARLIER });
    await deliveries(id, 1, { owner: 'run', state: 'retrying', lease_until: LATER });
    await deliveries(id, 1, { owner: 'onboarding' });
    await deliveries(id, 1, { owner: 'hand' });
    await deliveries(id, 1, { state: 'delivered', ended_at: EARLIER });
    expect(await run(holdDeliveries, id)).toBe(0);
    await disable(id);
    expect(await run(holdDeliveries, id)).toBe(6);
    expect(await standing(id)).toEqual({ held: 6, pending: 2, retrying: 1, 'delivered ended': 1 });
    expect(
      await lab.rows(`select distinct owner, lease_until from delivery where destination_id = $1 and state = 'held'`, [
        id,
      ]),
    ).toEqual([{ owner: 'sender', lease_until: null }]);
    // The attempt under way was lost.
    await lab.rows('update delivery set lease_until = $2 where destination_id = $1 and lease_until is not null', [
      id,
      EARLIER,
    ]);
    expect(await run(holdDeliveries, id)).toBe(1);
  });

  it('leaves other destinations alone, and those that are deleted', async () => {
    const [id, other] = [await destination(), await destination()];
    await deliveries(id, 1);
    await deliveries(other, 1);
    await disable(id);
    await run(holdDeliveries, id);
    expect(await standing(other)).toEqual({ pending: 1 });
    await remove(other);
    expect(await run(holdDeliveries, other)).toBe(0);
  });
});

describe('releasing', () => {
  it('begins each schedule anew, and wakes the senders', async () => {
    const id = await destination();
    await deliveries(id, 2, { owner: 'run', state: 'retrying', attempts: 3 });
    await disable(id);
    await run(holdDeliveries, id);
    expect(await run(releaseDeliveries, id)).toBe(0);
    await enable(id);
    await shiftClock(lab.database.pool, '1 day');
    let wakeUps = 0;
    const listening = listen(lab.database.url, DELIVERIES_CHANNEL, () => (wakeUps += 1));
    // Once for its own connection.
    await expect.poll(() => wakeUps).toBe(1);
    expect(await run(releaseDeliveries, id)).toBe(2);
    await expect.poll(() => wakeUps).toBe(2);
    expect(await run(releaseDeliveries, id)).toBe(0);
    await listening.stop();
    expect(
      await lab.rows(
        `select owner, state, trigger, attempts, schedule_start, ended_at,
           next_at <= handoff_now() as due
         from delivery where destination_id = $1`,
        [id],
      ),
    ).toEqual(
      Array.from({ length: 2 }, () => ({
        owner: 'sender',
        state: 'pending',
        trigger: 'replay',
        attempts: 3,
        schedule_start: 3,
        ended_at: null,
        due: true,
      })),
    );
  });

  it('takes the oldest first', async () => {
    const id = await destination();
    await deliveries(id, 1_500, { state: 'held' });
    expect(await run(releaseDeliveries, id)).toBe(1_000);
    expect(
      await lab.rows(
        `select max(created_at) filter (where state = 'pending') < min(created_at) filter (where state = 'held') as ok
         from delivery where destination_id = $1`,
        [id],
      ),
    ).toEqual([{ ok: true }]);
    const inLine = `select row_number() over (order by created_at) as age, row_number() over (order by next_at) as place
      from delivery where destination_id = $1 and state = 'pending'`;
    expect(await lab.rows(`select 1 from (${inLine}) l where age <> place`, [id])).toEqual([]);
  });
});

it('what a deleted destination would be sent is stopped, held or not', async () => {
  const id = await destination();
  await deliveries(id, 2, { state: 'held' });
  await deliveries(id, 1);
  await deliveries(id, 1, { owner: 'run', state: 'retrying', lease_until: LATER });
  await deliveries(id, 1, { owner: 'onboarding' });
  expect(await run(stopDeliveries, id)).toBe(0);
  await remove(id);
  expect(await run(stopDeliveries, id)).toBe(3);
  expect(await standing(id)).toEqual({ 'stopped ended': 3, retrying: 1, pending: 1 });
  expect(
    await lab.rows(`select distinct last_reason from delivery where destination_id = $1 and state = 'stopped'`, [id]),
  ).toEqual([{ last_reason: 'destination_deleted' }]);
});

it('a reset forgets how a destination fared, and no other', async () => {
  const [id, other] = [await destination(), await destination()];
  await lab.rows(
    `update webhook_health set consecutive_failures = 12, circuit_open_until = $2, probe_until = $2, slow_until = $2,
       circuit_closed_at = $3, failing_since = $3, last_success_at = $3, told_percent = 75
     where destination_id = any ($1)`,
    [[id, other], LATER, EARLIER],
  );
  await lab.tenants.withTenant(owner.id, async (sql) => resetHealth(sql, id));
  const health = await lab.rows(
    `select consecutive_failures as failures, circuit_open_until as open, probe_until as probe, slow_until as slow,
       circuit_closed_at > handoff_now() - interval '1 minute' as closed, failing_since as failing,
       told_percent as told, last_success_at is not null as succeeded
     from webhook_health where destination_id = any ($1) order by destination_id = $2 desc`,
    [[id, other], id],
  );
  expect(health).toEqual([
    { failures: 0, open: null, probe: null, slow: null, closed: true, failing: null, told: 0, succeeded: true },
    expect.objectContaining({ failures: 12, told: 75, closed: false }),
  ]);
});

describe('the relay', () => {
  it('finds each destination whose deliveries do not stand as they should, and only those', async () => {
    const [fine, waiting, disabled, off, enabled, deleted] = await Promise.all(
      Array.from({ length: 6 }, () => destination()),
    );
    if (!fine || !waiting || !disabled || !off || !enabled || !deleted) throw new Error('six destinations');
    await deliveries(fine, 2);
    await deliveries(waiting, 2, { state: 'held' });
    await disable(waiting);
    await deliveries(disabled, 2, { owner: 'run', state: 'retrying' });
    await disable(disabled);
    await disable(off);
    await deliveries(enabled, 2, { state: 'held' });
    await deliveries(deleted, 2);
    await deliveries(deleted, 2, { state: 'held' });
    await remove(deleted);
    const wanted = [
      { destinationId: disabled, move: 'hold' },
      { destinationId: enabled, move: 'release' },
      { destinationId: deleted, move: 'stop' },
    ];
    const found = await moves();
    expect(found).toHaveLength(3);
    expect(found).toEqual(expect.arrayContaining(wanted));
    expect(await moveDeliveries(lab.tenants)).toBe(false);
    expect(await moves()).toEqual([]);
    expect(await standing(fine)).toEqual({ pending: 2 });
    expect(await standing(waiting)).toEqual({ held: 2 });
    expect(await standing(disabled)).toEqual({ held: 2 });
    expect(await standing(enabled)).toEqual({ pending: 2 });
    expect(await standing(deleted)).toEqual({ 'stopped ended': 4 });
  });

  it('moves any number of them, batch by batch, together with others of its kind', async () => {
    const id = await destination();
    await deliveries(id, 2_500);
    await disable(id);
    const relays = (count: number) =>
      Promise.all(
        Array.from({ length: count }, async () => {
          while (await moveDeliveries(lab.tenants));
        }),
      );
    await relays(3);
    await relays(1);
    expect(await standing(id)).toEqual({ held: 2_500 });
    await enable(id);
    await relays(3);
    await relays(1);
    expect(await standing(id)).toEqual({ pending: 2_500 });
  });
});

describe('while owners switch, and relays, senders and runs go on', () => {
  const EVENTS = 60;
  const SWITCHES = 20;

  it('each delivery is made once, gets through once, and is never with two at a time', async () => {
    const destinationIds = [await destination(), await destination(), await destination()];
    const tenants = createTenants({ databaseUrl: lab.database.url });
    const { handoff } = verbs(tenants, lab);
    const ledger = deliveryLedger(tenants, testSealer);
    const underWay = new Set<string>();
    const delivered: string[] = [];

    /** Makes an attempt of which a fifth fail, and records it; what fails may be tried again at once. */
    const attempt = async (claimed: ClaimedDelivery): Promise<void> => {
      const { deliveryId } = claimed;
      expect(underWay.has(deliveryId)).toBe(false);
      underWay.add(deliveryId);
      const fails = Math.random() < 0.2;
      const record = await attemptDelivery(claimed, { ...tools, poster: answering(fails ? 500 : 204) });
      await pause(Math.random() * 100);
      if (!fails) delivered.push(deliveryId);
      underWay.delete(deliveryId);
      await ledger.record({ ...record, retryInMs: record.retryInMs === null ? null : 0 });
    };
    const over = new AbortController();
    const until = async (round: () => Promise<unknown>, everyMs = 1) => {
      while (!over.signal.aborted) {
        await round();
        await pause(Math.random() * everyMs);
      }
    };
    const sent: Promise<void>[] = [];
    const sender = async () => sent.push(...(await ledger.claimDue(20)).claimed.map(attempt));
    const runs = async () => {
      const rows = await lab.rows<{ id: string }>(
        `select delivery_id as id from delivery where owner = 'run' and ended_at is null`,
      );
      for (const { id } of rows) {
        const claimed = await ledger.claimOne(id);
        if (!('ended' in claimed)) sent.push(attempt(claimed));
      }
    };
    const set = (destinationId: string, enabled: boolean) =>
      tenants.withTenant(owner.id, (sql) => updateDestination(sql, owner.id, destinationId, { enabled }));
    const owners = destinationIds.map(async (destinationId) => {
      for (let n = 0; n < SWITCHES; n += 1) {
        await set(destinationId, n % 2 === 1);
        await pause(Math.random() * 60);
      }
      await set(destinationId, true);
    });
    const events = async () => {
      for (let n = 0; n < EVENTS; n += 1) {
        await handoff.acrossTenants('relay', async (tx, sql) => {
          tx.events.insert([statusUpdated(owner.id)], { kind: 'system', id: null });
          const wishes = await sql.query<{ id: string }>(`select subject_id as id from outbox where wish = 'dispatch'`);
          await dispatchEvents(sql, { eventIds: wishes.map(({ id }) => id) });
        });
        await pause(Math.random() * 10);
      }
    };
    const others = [sender, sender, runs, runs, () => moveDeliveries(tenants), () => moveDeliveries(tenants)];
    const going = others.map((round) => until(round, 10));
    try {
      await Promise.all([events(), ...owners]);
      await expect
        .poll(() => lab.rows('select state, owner, attempts from delivery where ended_at is null'), { timeout: 20_000 })
        .toEqual([]);
    } finally {
      over.abort();
      await Promise.all([...going, ...sent]);
    }
    for (const id of destinationIds) expect(await standing(id)).toEqual({ 'delivered ended': EVENTS });
    expect(delivered).toHaveLength(EVENTS * destinationIds.length);
    expect(new Set(delivered).size).toBe(delivered.length);
    await tenants.close();
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });
});

/** A receiver that answers so. */
function answering(status: number): WebhookPoster {
  const reply: PostOutcome = {
    kind: 'reply',
    status,
    bodyHead: '',
    bodyTruncated: false,
    locationHost: null,
    retryAfter: null,
    webhookDelivery: null,
    durationMs: 1,
    connectedIp: '192.0.2.1',
  };
  return { post: () => Promise.resolve(reply), close: () => Promise.resolve() };
}

const tools = {
  shareTokenKeys: parseKeyRing(`k:${Buffer.alloc(32, 3).toString('base64url')}`),
  mediaUrl: () => '',
  docsUrl: '',
};

function statusUpdated(applicationId: string): NewEvent {
  return {
    type: 'status.updated',
    applicationId,
    tokenId: null,
    sessionId: newId(),
    dedupeKey: newId(),
    body: { webhook_type: 'status.updated' },
  };
}
