import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import {
  deliveryToRetry,
  forgetIdempotencyKeys,
  forgetWishes,
  runToStart,
  takeOnboardingsToCheck,
  takeWishes,
  wishOverdueDeliveries,
} from '../../src/postgres/outbox.ts';
import type { Transaction, Wish } from '../../src/postgres/tenants.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { recordOf } from '../support/delivery-lab.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const relay = <T>(work: (sql: Transaction) => Promise<T>) => lab.tenants.acrossTenants('relay', work);
const take = (limit = 100) => relay((sql) => takeWishes(sql, limit));
const forget = (wishes: readonly Wish[]) =>
  relay(async (sql) =>
    forgetWishes(
      sql,
      wishes.map(({ outboxId }) => outboxId),
    ),
  );
const pass = (time: string) => shiftClock(lab.database.pool, time);

beforeEach(() => lab.rows('truncate outbox'));
afterEach(() => resetClock(lab.database.pool));

/** Wishes for one run: its start, and a signal behind it. */
async function wishRun(): Promise<string> {
  const tokenId = randomUUID();
  await lab.handoff.acrossTenants('relay', async (tx) => tx.wishStart(tokenId));
  await lab.handoff.acrossTenants('relay', async (tx) => tx.wishSignal(tokenId, 'tokenRevoked', tokenId));
  return tokenId;
}

const shown = (wishes: readonly Wish[]) => wishes.map(({ wish, tokenId }) => `${wish} ${tokenId}`);

describe('wishes', () => {
  it('are left to the process that made them for a moment, then taken', async () => {
    const tokenId = await wishRun();
    expect(await take()).toEqual([]);
    await pass('3 seconds');
    expect(shown(await take())).toEqual([`start ${tokenId}`]);
  });

  it('of one token go in their order: a signal waits until its start is done, through every retry', async () => {
    const [first, second] = [await wishRun(), await wishRun()];
    await pass('3 seconds');
    for (let round = 0; round < 4; round += 1) {
      expect(shown(await take()).sort()).toEqual([`start ${first}`, `start ${second}`].sort());
      // Longer than any lease.
      await pass('2 minutes');
    }
    const starts = await take();
    await forget(starts.filter(({ tokenId }) => tokenId === second));
    // The other run's stuck start holds nobody up.
    expect(shown(await take())).toEqual([`signal ${second}`]);
  });

  it('of a start and a signal do not hold up the token’s events', async () => {
    const tokenId = await wishRun();
    await relay(async (sql) => sql.wish({ wish: 'dispatch', tokenId, subjectId: randomUUID(), signal: null }));
    await pass('3 seconds');
    expect(shown(await take()).sort()).toEqual([`dispatch ${tokenId}`, `start ${tokenId}`]);
  });

  it('are taken by one relay at a time, and by the next one when that dies', async () => {
    const tokenIds = await Promise.all(Array.from({ length: 60 }, wishRun));
    await pass('3 seconds');
    const everything = async () => (await Promise.all(Array.from({ length: 8 }, () => take(20)))).flat();
    const taken = await everything();
    const again = await everything();
    const all = [...taken, ...again];
    expect(shown(all).sort()).toEqual(tokenIds.map((tokenId) => `start ${tokenId}`).sort());
    expect(await take()).toEqual([]);
    await pass('2 minutes');
    expect(await take()).toHaveLength(60);
  });
});

describe('open onboardings', () => {
  it('are compared with Temporal by one relay, once a round', async () => {
    const source = await lab.takeIn(userDocument());
    const open = await Promise.all(Array.from({ length: 20 }, () => lab.open(source)));
    const ended = await lab.open(source);
    await lab.revoke(ended);
    const check = async () =>
      (await Promise.all(Array.from({ length: 6 }, () => relay((sql) => takeOnboardingsToCheck(sql, 10, 5))))).flatMap(
        (rows) => rows.map(({ tokenId }) => tokenId),
      );
    expect(await check()).toEqual([]);
    await pass('11 seconds');
    const checked = [...(await check()), ...(await check())];
    expect(checked.sort()).toEqual(open.sort());
    expect(await check()).toEqual([]);
    await pass('11 seconds');
    expect(await check()).not.toEqual([]);
  });

  it('have a run to start; ended and unknown ones have none', async () => {
    const tokenId = await lab.open(await lab.takeIn(userDocument()));
    expect(await relay((sql) => runToStart(sql, tokenId))).toEqual({
      tokenId,
      issuerId: lab.issuer.id,
      partnerId: lab.partner.id,
      sessionKind: 'user',
    });
    await lab.revoke(tokenId);
    expect(await relay((sql) => runToStart(sql, tokenId))).toBeNull();
    expect(await relay((sql) => runToStart(sql, randomUUID()))).toBeNull();
  });
});

describe('deliveries whose run is gone', () => {
  it('are wished for again once, and have a run to start until they end', async () => {
    await lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: lab.issuer.id,
        url: 'https://receiver.example/overdue',
        subscribedEvents: ['share.minted'],
      }),
    );
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()));
    await relay((sql) => dispatchEvents(sql, { tokenId }));
    const ledger = deliveryLedger(lab.tenants, testSealer);
    const [claimed] = (await ledger.claimDue(1)).claimed;
    if (claimed === undefined) throw new Error('a delivery is due');
    await ledger.record(recordOf(claimed, 'retrying', { retryInMs: 60_000 }));
    const retry = await relay((sql) => deliveryToRetry(sql, claimed.deliveryId));
    expect(retry).toMatchObject({
      eventId: claimed.eventId,
      destinationId: claimed.destinationId,
      applicationId: lab.issuer.id,
    });
    expect(retry?.delayMs).toBeLessThanOrEqual(60_000);
    await forget(
      await relay((sql) => sql.query<Wish & Record<string, unknown>>('select outbox_id as "outboxId" from outbox')),
    );

    const overdue = () => relay(async (sql) => wishOverdueDeliveries(sql));
    await overdue();
    expect(await lab.rows('select 1 from outbox')).toEqual([]);
    await pass('10 minutes');
    // Its destination is slow, or tried by somebody: its run is on its way.
    for (const column of ['slow_until', 'circuit_open_until']) {
      await lab.rows(`update webhook_health set ${column} = handoff_now() + interval '1 minute'`);
      await overdue();
      await lab.rows(`update webhook_health set ${column} = handoff_now() - interval '10 minutes'`);
      if (column === 'circuit_open_until') await overdue();
      expect(await lab.rows('select 1 from outbox'), column).toEqual([]);
    }
    // Nobody has tried for long.
    await pass('6 minutes');
    await overdue();
    await overdue();
    expect(await lab.rows('select wish, subject_id from outbox')).toEqual([
      { wish: 'retry_delivery', subject_id: claimed.deliveryId },
    ]);
    expect(await relay((sql) => deliveryToRetry(sql, claimed.deliveryId))).toMatchObject({ delayMs: 0 });
    await ledger.record(recordOf(claimed, 'delivered'));
    expect(await relay((sql) => deliveryToRetry(sql, claimed.deliveryId))).toBeNull();
  });

  it('are all asked for in their turn, however many are late', async () => {
    await lab.rows('truncate delivery, outbox cascade');
    await lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: lab.issuer.id,
        url: 'https://receiver.example/late',
        subscribedEvents: ['share.minted'],
      }),
    );
    await lab.rows(
      `with n as (select n, gen_random_uuid() as event_id from generate_series(1, 450) n), made as (
         insert into event (event_id, application_id, type, subject_id, sequence, actor_kind, salt, digest, dedupe_key)
         select event_id, $1, 'share.minted', event_id, 1, 'system', '', '', event_id::text from n
       )
       insert into delivery (delivery_id, event_id, destination_id, application_id, owner, state, attempts)
       select gen_random_uuid(), n.event_id, d.destination_id, $1, 'run', 'retrying', 1
       from n, webhook_destination d where d.url = 'https://receiver.example/late'`,
      [lab.issuer.id],
    );
    await pass('10 minutes');
    const asked = new Map<string, number>();
    for (let minute = 0; minute < 4; minute += 1) {
      await relay(async (sql) => wishOverdueDeliveries(sql));
      const wishes = await lab.rows<{ subject_id: string }>('delete from outbox returning subject_id');
      for (const { subject_id: id } of wishes) asked.set(id, (asked.get(id) ?? 0) + 1);
      await pass('1 minute');
    }
    expect(asked.size).toBe(450);
    // And nobody is asked for every minute.
    expect(Math.max(...asked.values())).toBe(1);
    await pass('3 minutes');
    await relay(async (sql) => wishOverdueDeliveries(sql));
    expect(await lab.rows('select 1 from outbox')).not.toEqual([]);
  });
});

it('idempotency keys are forgotten after 24 hours', async () => {
  const insert = (key: string) =>
    lab.rows(
      `insert into idempotency_key (scope, key, route, body_sha256, status, resource_id, created_at)
       values ('s', $1, 'r', '', 201, $2, handoff_now())`,
      [key, randomUUID()],
    );
  await insert('old');
  await pass('23 hours');
  await insert('new');
  await pass('61 minutes');
  await relay(async (sql) => forgetIdempotencyKeys(sql));
  expect(await lab.rows('select key from idempotency_key')).toEqual([{ key: 'new' }]);
});
