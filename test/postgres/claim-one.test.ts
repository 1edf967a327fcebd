import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { notTaken, type Untaken } from '../../src/postgres/claim-one.ts';
import { queueAttempt } from '../../src/postgres/delivery-log.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';

const lab = deliveryLab();

/** A delivery whose first attempt failed, so that a run has it. */
async function handedOver(): Promise<{ deliveryId: string; destinationId: string; applicationId: string }> {
  const applicationId = await lab.application();
  const destinationId = await lab.destination(applicationId);
  await lab.tell(applicationId);
  const claimed = await lab.claimOnly();
  await lab.ledger.record(recordOf(claimed, 'retrying'));
  return { deliveryId: claimed.deliveryId, destinationId, applicationId };
}

const health = (destinationId: string, columns: string) =>
  lab.rows(`update webhook_health set ${columns} where destination_id = $1`, [destinationId]);

/** Milliseconds after which a run is told to come back. */
async function told(deliveryId: string): Promise<number> {
  const claim = await lab.ledger.claimOne(deliveryId);
  if (!('ended' in claim) || claim.ended) throw new Error('the run was to wait');
  return claim.retryInMs;
}

describe('a run gets its delivery', () => {
  it('when its time has come, and not before', async () => {
    const { deliveryId } = await handedOver();
    expect(await told(deliveryId)).toBeLessThanOrEqual(5_000);
    expect(await lab.rows('select attempts from delivery')).toEqual([{ attempts: 1 }]);
    await lab.pass('4500 milliseconds');
    expect(await lab.ledger.claimOne(deliveryId)).toMatchObject({ deliveryId, attempt: 2, trigger: 'auto' });
  });

  it('as the probe of a destination that was out of order', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.pass('6 seconds');
    await health(destinationId, `circuit_open_until = handoff_now() - interval '1 second'`);
    const [probe, waiting] = await Promise.all([
      lab.ledger.claimOne(deliveryId),
      lab.otherLedger().claimOne(deliveryId),
    ]);
    expect([probe, waiting].filter((claim) => 'eventId' in claim)).toHaveLength(1);
    expect(
      await lab.rows('select probe_until > handoff_now() as probing from webhook_health where destination_id = $1', [
        destinationId,
      ]),
    ).toEqual([{ probing: true }]);
  });
});

describe('the number of an attempt', () => {
  it('rises with those by hand, which the schedule does not count', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.byHand(destinationId);
    const hand = await lab.claimOnly();
    expect(hand).toMatchObject({ trigger: 'manual', attempt: 2 });
    await lab.pass('6 seconds');
    const next = await lab.ledger.claimOne(deliveryId);
    expect(next).toMatchObject({ trigger: 'auto', attempt: 3, scheduledSoFar: 2, scheduleAttempt: 2 });
    await lab.ledger.record(recordOf(hand, 'retrying'));
    await lab.ledger.record(recordOf(next as ClaimedDelivery, 'retrying', { retryInMs: 60_000 }));
    expect(await lab.rows('select state, attempts, last_reason as reason from delivery')).toEqual([
      { state: 'retrying', attempts: 2, reason: 'http_500' },
    ]);
    await lab.pass('2 minutes');
    expect(await lab.ledger.claimOne(deliveryId)).toMatchObject({ attempt: 4, scheduleAttempt: 3 });
  });

  it('is one attempt’s alone, however many ask for one at the same time', async () => {
    const { applicationId, deliveryId } = await handedOver();
    const [first] = await lab.rows<{ id: string }>('select attempt_id as id from delivery_attempt');
    await lab.pass('6 seconds');
    const other = lab.otherTenants();
    const again = () =>
      other.withTenant(applicationId, async (sql) => queueAttempt(sql, applicationId, first?.id ?? ''));
    const [, , claimed] = await Promise.all([again(), again(), lab.ledger.claimOne(deliveryId), again(), again()]);
    expect(claimed).toMatchObject({ scheduleAttempt: 2 });
    const numbers = await lab.rows<{ attempt: number }>('select attempt from delivery_attempt order by attempt');
    expect(numbers.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('a run waits, and uses up no attempt,', () => {
  it('while its destination asked for time', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.pass('6 seconds');
    await health(destinationId, `slow_until = handoff_now() + interval '50 seconds'`);
    expect(await told(deliveryId)).toBeGreaterThan(49_000);
    await lab.pass('51 seconds');
    expect(await lab.ledger.claimOne(deliveryId)).toMatchObject({ attempt: 2 });
  });

  it('while the circuit is open, or a probe is under way', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.pass('6 seconds');
    await health(destinationId, `circuit_open_until = handoff_now() + interval '50 seconds'`);
    expect(await told(deliveryId)).toBeGreaterThan(49_000);
    await lab.pass('51 seconds');
    await health(destinationId, `probe_until = handoff_now() + interval '40 seconds'`);
    expect(await told(deliveryId)).toBeGreaterThan(39_000);
    expect(await lab.rows('select attempts from delivery')).toEqual([{ attempts: 1 }]);
  });

  it('while as many requests are in flight there as it takes', async () => {
    const { deliveryId, applicationId } = await handedOver();
    await lab.pass('6 seconds');
    await lab.tell(applicationId, 12);
    // One less for the failure before.
    expect(await lab.claimAll()).toHaveLength(9);
    const wait = await told(deliveryId);
    expect(wait).toBeGreaterThanOrEqual(10_000);
    expect(wait).toBeLessThanOrEqual(20_000);
  });

  it('while the senders have it', async () => {
    const { deliveryId } = await handedOver();
    await lab.rows(`update delivery set owner = 'sender', state = 'pending', next_at = handoff_now()`);
    expect(await told(deliveryId)).toBeGreaterThanOrEqual(600_000);
    expect(await lab.claimAll()).toMatchObject([{ deliveryId, attempt: 2 }]);
  });
});

describe('a run ends', () => {
  it('when its destination was switched off: the delivery is held', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.rows('update webhook_destination set enabled = false where destination_id = $1', [destinationId]);
    expect(await lab.ledger.claimOne(deliveryId)).toEqual({ ended: true, state: 'held' });
    expect(await lab.ledger.claimOne(deliveryId)).toEqual({ ended: true, state: 'held' });
    expect(await lab.rows('select state, owner, attempts, ended_at from delivery')).toEqual([
      { state: 'held', owner: 'sender', attempts: 1, ended_at: null },
    ]);
  });

  it('when its destination was deleted', async () => {
    const { deliveryId, destinationId } = await handedOver();
    await lab.rows('update webhook_destination set enabled = false, deleted_at = now() where destination_id = $1', [
      destinationId,
    ]);
    expect(await lab.ledger.claimOne(deliveryId)).toEqual({ ended: true, state: 'stopped' });
    expect(await lab.rows('select last_reason, ended_at is not null as ended from delivery')).toEqual([
      { last_reason: 'destination_deleted', ended: true },
    ]);
  });

  it('when the payload was deleted', async () => {
    const { deliveryId } = await handedOver();
    await lab.pass('6 seconds');
    await lab.rows('delete from event_payload');
    expect(await lab.ledger.claimOne(deliveryId)).toEqual({ ended: true, state: 'stopped' });
  });

  it('when it asks for what is not a run’s', async () => {
    const { deliveryId } = await handedOver();
    await lab.pass('6 seconds');
    await lab.rows(`update delivery set owner = 'onboarding'`);
    expect(await lab.ledger.claimOne(deliveryId)).toEqual({ ended: true, state: 'retrying' });
    expect(await lab.ledger.claimOne(randomUUID())).toEqual({ ended: true, state: 'stopped' });
    expect(await lab.ledger.claimOne('no id')).toEqual({ ended: true, state: 'stopped' });
  });
});

describe('runs that wait for one destination', () => {
  const MINUTE = 60_000;
  const HOUR = 60 * MINUTE;
  const waiting: Untaken = {
    state: 'retrying',
    ended: false,
    owner: 'run',
    dueInMs: -10,
    leasedForMs: null,
    opensInMs: null,
    failingForMs: 0,
    waiting: 1,
  };
  const between = (row: Partial<Untaken>) =>
    [0, 0.999_999].map((random) => {
      const answer = notTaken({ ...waiting, ...row }, random);
      return answer.ended ? Number.NaN : Math.round(answer.retryInMs / 1000);
    });

  it('come back spread over one or two minutes after it may be back, however long it has been out of order', () => {
    expect(between({ opensInMs: MINUTE, failingForMs: MINUTE })).toEqual([60, 120]);
    expect(between({ opensInMs: MINUTE, failingForMs: 15 * MINUTE })).toEqual([60, 150]);
    expect(between({ opensInMs: MINUTE, failingForMs: 100 * HOUR })).toEqual([60, 180]);
  });

  it('come back after seconds from a full one, the more spread the more wait, however late they are', () => {
    expect(between({})).toEqual([1, 3]);
    expect(between({ failingForMs: MINUTE, waiting: 9 })).toEqual([10, 20]);
    expect(between({ waiting: 40, dueInMs: -20_000 })).toEqual([1, 5]);
    expect(between({ waiting: 100, dueInMs: -HOUR })).toEqual([1, 10]);
  });
});
