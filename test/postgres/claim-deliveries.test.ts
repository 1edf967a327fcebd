import { describe, expect, it } from 'vitest';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';

const lab = deliveryLab();

const change = (destinationId: string, columns: string) =>
  lab.rows(`update webhook_destination set ${columns} where destination_id = $1`, [destinationId]);

/** How many were taken, by what each of them says. */
function tally(claimed: readonly ClaimedDelivery[], by: (one: ClaimedDelivery) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of claimed) counts[by(one)] = (counts[by(one)] ?? 0) + 1;
  return counts;
}

describe('a destination', () => {
  it('has ten requests in flight at most, by schedule and by hand together, and room again when one ends', async () => {
    const applicationId = await lab.application();
    const destinationId = await lab.destination(applicationId);
    await lab.tell(applicationId, 30);
    const first = await lab.ledger.claimDue(64);
    expect(first).toMatchObject({ more: true, busy: false });
    expect(first.claimed).toHaveLength(10);
    expect(await lab.ledger.claimDue(64)).toEqual({ claimed: [], more: true, busy: false });

    await lab.ledger.record(recordOf(first.claimed[0], 'delivered'));
    await lab.ledger.record(recordOf(first.claimed[1], 'delivered'));
    await lab.byHand(destinationId);
    const next = await lab.ledger.claimDue(64);
    expect(next.claimed.map(({ trigger }) => trigger).sort()).toEqual(['auto', 'manual']);
  });

  it('gets its oldest first, and what a dead sender held when its lease is over', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    const told: string[] = [];
    for (let n = 0; n < 12; n += 1) told.push(...(await lab.tell(applicationId)));
    const taken = await lab.claimAll();
    expect(taken.map(({ eventId }) => eventId).sort()).toEqual(told.slice(0, 10).sort());
    await lab.pass('46 seconds');
    expect((await lab.claimAll()).map(({ attempt }) => attempt)).toEqual(Array.from({ length: 10 }, () => 2));
  });

  it('that is switched off or deleted gets nothing by schedule; by hand, one that is switched off does', async () => {
    const applicationId = await lab.application();
    const [off, deleted] = [await lab.destination(applicationId), await lab.destination(applicationId)];
    await lab.tell(applicationId, 2);
    await lab.byHand(off);
    await lab.byHand(deleted);
    await change(off, 'enabled = false');
    await change(deleted, 'enabled = false, deleted_at = handoff_now()');
    const claimed = await lab.claimAll();
    expect(claimed).toMatchObject([{ destinationId: off, trigger: 'manual' }]);
  });
});

describe('turns', () => {
  it('are given to what is wanted by hand first', async () => {
    const applicationId = await lab.application();
    const [one, other] = [await lab.destination(applicationId), await lab.destination(applicationId)];
    await lab.tell(applicationId, 5);
    const wanted = [await lab.byHand(one), await lab.byHand(other)];
    const { claimed } = await lab.ledger.claimDue(3);
    expect(tally(claimed, ({ trigger }) => trigger)).toEqual({ manual: 2, auto: 1 });
    expect(claimed.filter(({ attemptId }) => wanted.includes(attemptId))).toHaveLength(2);
  });

  it('are shared among applications, however much one of them has', async () => {
    const [big, small] = [await lab.application(), await lab.application()];
    for (let n = 0; n < 4; n += 1) await lab.destination(big);
    const ofSmall = await lab.destination(small);
    await lab.tell(big, 20);
    await lab.pass('1 minute');
    await lab.tell(small, 20);
    const { claimed, more } = await lab.ledger.claimDue(12);
    expect(tally(claimed, ({ destinationId }) => (destinationId === ofSmall ? 'small' : 'big'))).toEqual({
      big: 6,
      small: 6,
    });
    expect(more).toBe(true);
  });

  it('go to the application with the fewest requests in flight, one after the other too', async () => {
    const [big, small] = [await lab.application(), await lab.application()];
    for (let n = 0; n < 4; n += 1) await lab.destination(big);
    const ofSmall = await lab.destination(small);
    await lab.tell(big, 20);
    expect((await lab.ledger.claimDue(20)).claimed).toHaveLength(20);
    await lab.tell(small, 3);
    for (let n = 0; n < 3; n += 1) {
      expect((await lab.ledger.claimDue(1)).claimed).toMatchObject([{ destinationId: ofSmall }]);
    }
  });
});

describe('a delivery whose payload was deleted', () => {
  it('ends instead of being sent, and holds up nothing behind it', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    const [gone] = await lab.tell(applicationId);
    await lab.tell(applicationId);
    await lab.rows('delete from event_payload where event_id = $1', [gone]);
    const claimed = await lab.claimAll();
    expect(claimed).toHaveLength(1);
    expect(claimed[0]?.eventId).not.toBe(gone);
    expect(
      await lab.rows(
        `select state, last_reason, attempts, ended_at is not null as ended, lease_until from delivery where event_id = $1`,
        [gone],
      ),
    ).toEqual([{ state: 'stopped', last_reason: 'payload_deleted', attempts: 0, ended: true, lease_until: null }]);
  });
});

describe('a schedule that was begun anew', () => {
  it('is twelve attempts again; their numbers go on, and they say why they are made', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    await lab.tell(applicationId);
    await lab.rows(`update delivery set trigger = 'replay', attempts = 12, schedule_start = 12`);
    const claimed = await lab.claimOnly();
    expect(claimed).toMatchObject({ trigger: 'replay', attempt: 13, scheduleAttempt: 1 });
    await lab.ledger.record(recordOf(claimed, 'retrying'));
    expect(await lab.rows('select state, owner from delivery')).toEqual([{ state: 'retrying', owner: 'run' }]);
    await lab.pass('6 seconds');
    expect(await lab.ledger.claimOne(claimed.deliveryId)).toMatchObject({
      trigger: 'replay',
      attempt: 14,
      scheduleAttempt: 2,
    });
    expect(await lab.rows('select attempt, trigger from delivery_attempt order by attempt')).toEqual([
      { attempt: 13, trigger: 'replay' },
      { attempt: 14, trigger: 'replay' },
    ]);
  });

  it.each(['retrying', 'exhausted'] as const)(
    'is left alone by an attempt of the former one that comes to %s',
    async (state) => {
      const applicationId = await lab.application();
      await lab.destination(applicationId);
      await lab.tell(applicationId);
      const former = await lab.claimOnly();
      await lab.rows(
        `update delivery set state = 'pending', trigger = 'replay', schedule_start = attempts, next_at = handoff_now()`,
      );
      await lab.ledger.record(recordOf(former, state));
      expect(await lab.rows('select state, owner, ended_at from delivery')).toEqual([
        { state: 'pending', owner: 'sender', ended_at: null },
      ]);
      expect(await lab.claimOnly()).toMatchObject({ trigger: 'replay', attempt: 2, scheduleAttempt: 1 });
    },
  );

  it('is not needed any more when an attempt of the former one got through', async () => {
    const applicationId = await lab.application();
    await lab.destination(applicationId);
    await lab.tell(applicationId);
    const former = await lab.claimOnly();
    await lab.rows(`update delivery set state = 'pending', trigger = 'replay', schedule_start = attempts`);
    await lab.ledger.record(recordOf(former, 'delivered'));
    expect(await lab.rows('select state, ended_at is not null as ended from delivery')).toEqual([
      { state: 'delivered', ended: true },
    ]);
  });
});

describe('a delivery that is made by hand alone', () => {
  it.each([
    ['delivered', 'delivered'],
    ['retrying', 'exhausted'],
    ['gone', 'exhausted'],
  ] as const)('has one attempt: %s is %s', async (outcome, state) => {
    const applicationId = await lab.application();
    const destinationId = await lab.destination(applicationId);
    await lab.tell(applicationId);
    await lab.rows(`update delivery set owner = 'hand'`);
    await lab.byHand(destinationId);
    const claimed = await lab.claimOnly();
    await lab.ledger.record(recordOf(claimed, outcome));
    expect(await lab.rows('select state, ended_at is not null as ended from delivery')).toEqual([
      { state, ended: true },
    ]);
    expect(await lab.claimAll()).toEqual([]);
    expect(await lab.rows('select 1 from outbox')).toEqual([]);
  });
});
