import { describe, expect, it } from 'vitest';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { AttemptFault, ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';
import { fakeNetwork } from '../support/fake-destinations.ts';
import { ANSWERED } from '../support/claimed-delivery.ts';

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

  it('are not taken by what one application wants by hand, however much it is', async () => {
    const [eager, other] = [await lab.application(), await lab.application()];
    const mine = [await lab.destination(eager), await lab.destination(eager)];
    const ofOther = await lab.destination(other);
    await lab.tell(eager, 1);
    for (const one of mine) for (let n = 0; n < 6; n += 1) await lab.byHand(one);
    await lab.tell(other, 5);
    const { claimed } = await lab.ledger.claimDue(8);
    expect(tally(claimed, (one) => (one.destinationId === ofOther ? 'other' : one.trigger))).toEqual({
      manual: 4,
      other: 4,
    });
    // One place: the other's, which has fewer in flight or as many.
    const counts = tally((await lab.ledger.claimDue(2)).claimed, ({ destinationId }) =>
      destinationId === ofOther ? 'other' : 'eager',
    );
    expect(counts).toEqual({ eager: 1, other: 1 });
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

describe('a delivery that can’t be opened', () => {
  const UNKNOWN_KEY = `'\\x01036b696400'::bytea`;

  it.each([
    ['secret_unreadable', `update webhook_secret set sealed = ${UNKNOWN_KEY} where destination_id = $1`],
    [
      'payload_unreadable',
      `update event_payload p set payload = ${UNKNOWN_KEY} from delivery v where v.event_id = p.event_id and v.destination_id = $1`,
    ],
  ] as const)('fails by its schedule, and holds up no other: %s', async (reason, breakIt) => {
    const [broken, fine] = [await lab.application(), await lab.application()];
    const [bad, good] = [await lab.destination(broken), await lab.destination(fine)];
    await lab.tell(broken);
    await lab.tell(fine);
    await lab.rows(breakIt, [bad]);
    const faults: AttemptFault[] = [];
    const posted: string[] = [];
    const tools: AttemptTools = {
      ...fakeNetwork([], []),
      poster: {
        post: ({ url }) => {
          posted.push(url);
          return Promise.resolve(ANSWERED);
        },
        close: () => Promise.resolve(),
      },
      onFault: (fault) => faults.push(fault),
    };
    const claimed = await lab.claimAll();
    expect(claimed).toHaveLength(2);
    for (const one of claimed) await lab.ledger.record(await attemptDelivery(one, tools));
    expect(posted).toEqual([claimed.find(({ destinationId }) => destinationId === good)?.url]);
    const ids = claimed.find(({ destinationId }) => destinationId === bad);
    expect(faults).toEqual([{ deliveryId: ids?.deliveryId, attemptId: ids?.attemptId, destinationId: bad, reason }]);
    const failed = () =>
      lab.rows(
        `select v.state, v.owner, v.last_reason, a.state as attempt, a.reason, a.request_headers, h.failing_since
         from delivery v join delivery_attempt a using (delivery_id) join webhook_health h on h.destination_id = $1
         where v.destination_id = $1 order by a.attempt desc limit 1`,
        [bad],
      );
    const recorded = { last_reason: reason, attempt: 'failed', reason, request_headers: null, failing_since: null };
    expect(await failed()).toEqual([{ state: 'retrying', owner: 'run', ...recorded }]);

    // Its run goes on with it, to the end.
    await lab.rows(`update delivery set attempts = 11, next_at = handoff_now() where destination_id = $1`, [bad]);
    const last = await lab.ledger.claimOne(ids?.deliveryId ?? '');
    if (!('eventId' in last)) throw new Error('the run was to get it');
    await lab.ledger.record(await attemptDelivery(last, tools));
    expect(await failed()).toEqual([{ state: 'exhausted', owner: 'run', ...recorded }]);
  });

  it('and one that can’t be made for any other reason fails as well', async () => {
    const applicationId = await lab.application();
    const destinationId = await lab.destination(applicationId);
    await lab.tell(applicationId);
    await lab.rows('delete from webhook_secret where destination_id = $1', [destinationId]);
    const faults: AttemptFault[] = [];
    const record = await attemptDelivery(await lab.claimOnly(), {
      ...fakeNetwork([], []),
      onFault: (fault) => faults.push(fault),
    });
    expect(record).toMatchObject({ state: 'retrying', reason: 'internal_error', requestHeaders: null, disables: null });
    expect(record.retryInMs).toBeGreaterThan(0);
    expect(faults).toMatchObject([{ destinationId, reason: 'internal_error', error: expect.any(Error) as Error }]);
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
