import { describe, expect, it } from 'vitest';
import { deliveryLedger } from '../../src/postgres/deliveries.ts';
import { settleLostAttempts, takeWishes } from '../../src/postgres/outbox.ts';
import { recordAttempts } from '../../src/postgres/record-attempt.ts';
import { queuePing } from '../../src/postgres/webhook-pings.ts';
import { updateDestination } from '../../src/postgres/change-destination.ts';
import { carryOut } from '../../src/relay/carry-out.ts';
import { moveDeliveries } from '../../src/relay/webhook-upkeep.ts';
import type { AttemptRecord } from '../../src/webhooks/ports.ts';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';
import { deadlocksOf } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = deliveryLab();

const healthOf = async (destinationId: string) => {
  const [row] = await lab.rows<{
    failures: number;
    open: number | null;
    probing: boolean;
    slow: number | null;
    failing: boolean;
    succeeded: boolean;
  }>(
    `select consecutive_failures as failures, round(extract(epoch from circuit_open_until - handoff_now()))::int as open,
       coalesce(probe_until > handoff_now(), false) as probing,
       round(extract(epoch from slow_until - handoff_now()))::int as slow,
       failing_since is not null as failing, last_success_at is not null as succeeded
     from webhook_health where destination_id = $1`,
    [destinationId],
  );
  return row;
};

/** A destination for which so many deliveries are due. */
async function backlog(count: number): Promise<{ applicationId: string; destinationId: string }> {
  const applicationId = await lab.application();
  const destinationId = await lab.destination(applicationId);
  await lab.tell(applicationId, count);
  return { applicationId, destinationId };
}

const due = async (limit = 64) => (await lab.ledger.claimDue(limit)).claimed.length;

describe('the circuit of a destination', () => {
  it('opens after ten failures in a row, and nothing is sent or used up meanwhile', async () => {
    const { destinationId } = await backlog(15);
    await lab.attempt(9, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 9, open: null, failing: true });
    await lab.attempt(1, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 10, open: 60 });
    expect(await lab.ledger.claimDue(64)).toMatchObject({ claimed: [], more: false });
    await lab.pass('58 seconds');
    expect(await due()).toBe(0);
    expect(await lab.rows('select attempts, count(*)::int as count from delivery group by 1 order by 1')).toEqual([
      { attempts: 0, count: 5 },
      { attempts: 1, count: 10 },
    ]);
  });

  it('stays closed while a success comes between', async () => {
    const { destinationId } = await backlog(20);
    await lab.attempt(6, 'retrying');
    await lab.attempt(4, 'delivered');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 0, failing: false });
    await lab.attempt(3, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 3, open: null });
    expect(await due()).toBe(7);
  });

  it('opens at 70 per cent of ten attempts within five minutes, and not for older ones', async () => {
    const { destinationId } = await backlog(60);
    for (let n = 0; n < 2; n += 1) {
      await lab.attempt(3, 'retrying');
      await lab.attempt(1, 'delivered');
    }
    await lab.attempt(1, 'retrying');
    // 7 of 9.
    expect(await healthOf(destinationId)).toMatchObject({ open: null });
    await lab.pass('6 minutes');
    await lab.attempt(5, 'retrying');
    await lab.attempt(4, 'delivered');
    // 6 of 10.
    await lab.attempt(1, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ open: null });
    // 9 of 13, and then 10 of 14.
    await lab.attempt(3, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ open: null });
    await lab.attempt(1, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 5, open: 60 });
  });

  it('lets one probe through after a minute, whoever asks; its failure opens the circuit again', async () => {
    const { destinationId } = await backlog(20);
    await lab.attempt(10, 'retrying');
    await lab.pass('61 seconds');
    const others = [lab.ledger, lab.otherLedger(), lab.otherLedger()];
    const probes = (await Promise.all(others.map((ledger) => lab.claimAll(ledger)))).flat();
    expect(probes).toHaveLength(1);
    expect(await healthOf(destinationId)).toMatchObject({ probing: true });
    await lab.ledger.record(recordOf(probes[0], 'retrying'));
    expect(await healthOf(destinationId)).toMatchObject({ failures: 11, open: 60, probing: false });
    expect(await due()).toBe(0);
  });

  it('lets another probe through when the first one’s sender died', async () => {
    await backlog(20);
    await lab.attempt(10, 'retrying');
    await lab.pass('61 seconds');
    expect(await due()).toBe(1);
    await lab.pass('19 seconds');
    expect(await due()).toBe(0);
    await lab.pass('2 seconds');
    expect(await due()).toBe(1);
  });

  it('is closed by a success, for all processes, and forgets what was before', async () => {
    const { destinationId } = await backlog(40);
    await lab.attempt(10, 'retrying');
    await lab.pass('61 seconds');
    await lab.attempt(1, 'delivered');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 0, open: null, failing: false, succeeded: true });
    await lab.attempt(5, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 5, open: null });
    expect(await lab.claimAll(lab.otherLedger())).toHaveLength(5);
  });

  it('is closed but takes one at a time after an overload, until a success or for a minute', async () => {
    await backlog(40);
    await lab.attempt(1, 'retrying', { responseStatus: 503, reason: 'http_503', hint: 'slow_down' });
    const [one] = (await lab.ledger.claimDue(100)).claimed;
    expect(await due()).toBe(0);
    await lab.ledger.record(recordOf(one, 'delivered'));
    const [other, ...more] = (await lab.ledger.claimDue(100)).claimed;
    expect(more).toHaveLength(9);
    await lab.ledger.record(recordOf(other, 'retrying', { hint: 'slow_down' }));
    for (const rest of more) await lab.ledger.record(recordOf(rest, 'stopped', { requestHeaders: null }));
    expect(await due()).toBe(1);
    await lab.pass('61 seconds');
    expect(await due()).toBe(9);
  });

  it('is closed but takes less at once with each failure in a row, and never nothing', async () => {
    await backlog(40);
    await lab.attempt(3, 'retrying');
    const taken = await lab.claimAll();
    expect(taken).toHaveLength(7);
    expect(await due()).toBe(0);
    for (const claimed of taken.slice(0, 6)) await lab.ledger.record(recordOf(claimed, 'retrying'));
    // Nine in a row, and one in flight.
    expect(await due()).toBe(0);
    await lab.ledger.record(recordOf(taken[6], 'delivered'));
    expect(await due()).toBe(10);
  });

  it('is opened and closed by attempts by hand too, which it never holds up', async () => {
    const { destinationId } = await backlog(12);
    await lab.attempt(9, 'retrying');
    await lab.byHand(destinationId);
    const [failed] = (await lab.ledger.claimDue(1)).claimed;
    await lab.ledger.record(recordOf(failed, 'retrying'));
    expect(failed?.trigger).toBe('manual');
    expect(await healthOf(destinationId)).toMatchObject({ open: 60 });

    await lab.byHand(destinationId);
    const claimed = await lab.claimAll();
    expect(claimed.map(({ trigger }) => trigger)).toEqual(['manual']);
    await lab.ledger.record(recordOf(claimed[0], 'delivered'));
    expect(await healthOf(destinationId)).toMatchObject({ open: null });
    // The first of the nine that failed is delivered now.
    expect(await due()).toBe(3);
  });

  it('is not opened by test sends that fail', async () => {
    const { applicationId, destinationId } = await backlog(0);
    for (let n = 0; n < 9; n += 1) {
      const about = { destinationId, applicationId, environment: 'sandbox', label: 'x' } as const;
      await lab.tenants.acrossTenants('relay', async (sql) => {
        queuePing(sql, testSealer, about, { kind: 'system', id: null });
      });
      await lab.ledger.record(recordOf(await lab.claimOnly(), 'exhausted', { advisory: true }));
    }
    await lab.tell(applicationId);
    await lab.attempt(1, 'retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 1, open: null });
  });

  it('is neither opened nor closed by attempts at a former URL', async () => {
    const { destinationId } = await backlog(12);
    await lab.attempt(9, 'retrying');
    const former = 'https://former.example/';
    const again = async (state: AttemptRecord['state']) => {
      await lab.byHand(destinationId, former);
      const [claimed] = (await lab.ledger.claimDue(1)).claimed;
      expect(claimed).toMatchObject({ trigger: 'manual', url: former });
      await lab.ledger.record(recordOf(claimed, state, { slowDestinationMs: state === 'retrying' ? 60_000 : null }));
    };
    await again('retrying');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 9, open: null, slow: null });
    await again('delivered');
    expect(await healthOf(destinationId)).toMatchObject({ failures: 9, failing: true, succeeded: false });
  });

  it('counts attempts that were sent, and no others', async () => {
    const { destinationId } = await backlog(12);
    await lab.attempt(12, 'stopped', { requestHeaders: null, responseStatus: null });
    expect(await healthOf(destinationId)).toMatchObject({ failures: 0, failing: false });
  });
});

describe('a destination that asks for time', () => {
  it('gets nothing for so long, and then as before', async () => {
    const { destinationId } = await backlog(5);
    await lab.attempt(1, 'retrying', { slowDestinationMs: 120_000, responseStatus: 429, reason: 'http_429' });
    expect(await healthOf(destinationId)).toMatchObject({ slow: 120 });
    expect(await due()).toBe(0);
    await lab.pass('119 seconds');
    expect(await due()).toBe(0);
    await lab.pass('2 seconds');
    expect(await due()).toBe(4);
  });

  it('keeps the longest time that it asked for, also when something gets through', async () => {
    const { destinationId } = await backlog(5);
    const [one, two, three] = await lab.claimAll();
    await lab.ledger.record(recordOf(one, 'retrying', { slowDestinationMs: 300_000 }));
    await lab.ledger.record(recordOf(two, 'retrying', { slowDestinationMs: 60_000 }));
    await lab.ledger.record(recordOf(three, 'delivered'));
    expect(await healthOf(destinationId)).toMatchObject({ slow: 300 });
  });
});

describe('a healthy destination', () => {
  it('has its row written at most every ten seconds', async () => {
    const { destinationId } = await backlog(6);
    const versions = async () => {
      const [row] = await lab.rows<{ xmin: string }>('select xmin from webhook_health where destination_id = $1', [
        destinationId,
      ]);
      return row?.xmin;
    };
    await lab.attempt(1, 'delivered');
    const before = await versions();
    await lab.attempt(3, 'delivered');
    expect(await versions()).toBe(before);
    await lab.pass('11 seconds');
    await lab.attempt(1, 'delivered');
    expect(await versions()).not.toBe(before);
  });
});

describe('a destination that an attempt switches off', () => {
  const DISABLES = { disables: 'gone', responseStatus: 410, reason: 'gone' } as const;

  it('is switched off once, and its application’s other destinations are told', async () => {
    const { applicationId, destinationId } = await backlog(3);
    const other = await lab.destination(applicationId, ['webhook.disabled']);
    const claimed = await lab.claimAll();
    await Promise.all(claimed.map((one) => lab.ledger.record(recordOf(one, 'gone', DISABLES))));
    expect(lab.disabled).toEqual([{ applicationId, destinationId, reason: 'gone' }]);
    expect(
      await lab.rows(
        `select enabled, disabled_reason as reason, disabled_at is not null as dated from webhook_destination
         where destination_id = $1`,
        [destinationId],
      ),
    ).toEqual([{ enabled: false, reason: 'gone', dated: true }]);

    await lab.pass('3 seconds');
    for (const wish of await lab.tenants.acrossTenants('relay', (sql) => takeWishes(sql, 10))) {
      // A dispatch asks Temporal for nothing.
      await carryOut(wish, { tenants: lab.tenants, client: undefined as never });
    }
    const told = await lab.claimAll();
    expect(told).toMatchObject([
      {
        destinationId: other,
        eventType: 'webhook.disabled',
        payload: expect.stringContaining(`"destination_id":"${destinationId}"`) as string,
      },
    ]);
    // It subscribes to everything, and is not told of itself.
    expect(
      await lab.rows(
        `select 1 from delivery join event using (event_id) where type = 'webhook.disabled' and destination_id = $1`,
        [destinationId],
      ),
    ).toEqual([]);
  });

  it('is not switched off by what a former URL answers', async () => {
    const { destinationId } = await backlog(1);
    await lab.attempt(1, 'delivered');
    await lab.byHand(destinationId, 'https://former.example/');
    await lab.ledger.record(recordOf(await lab.claimOnly(), 'gone', DISABLES));
    expect(lab.disabled).toEqual([]);
    expect(
      await lab.rows('select enabled from webhook_destination where destination_id = $1', [destinationId]),
    ).toEqual([{ enabled: true }]);
  });

  it('by 2xx is left with the delivery delivered', async () => {
    await backlog(1);
    await lab.attempt(1, 'delivered', { disables: 'receiver' });
    expect(lab.disabled).toMatchObject([{ reason: 'receiver' }]);
    expect(await lab.rows('select state from delivery')).toEqual([{ state: 'delivered' }]);
  });

  it('has what fails meanwhile held, without a run', async () => {
    const { destinationId } = await backlog(2);
    const [one, two] = await lab.claimAll();
    await lab.ledger.record(recordOf(one, 'gone', DISABLES));
    await lab.ledger.record(recordOf(two, 'retrying'));
    expect(
      await lab.rows(
        `select state, owner, ended_at is not null as ended, lease_until is null as free from delivery
         where destination_id = $1 order by state`,
        [destinationId],
      ),
    ).toEqual([
      { state: 'gone', owner: 'sender', ended: true, free: true },
      { state: 'held', owner: 'sender', ended: false, free: true },
    ]);
    expect(await lab.rows(`select 1 from outbox where wish = 'retry_delivery'`)).toEqual([]);
  });

  it('is not switched off again when it was deleted meanwhile', async () => {
    const { destinationId } = await backlog(2);
    const [one, two] = await lab.claimAll();
    await lab.rows('update webhook_destination set deleted_at = now(), enabled = false where destination_id = $1', [
      destinationId,
    ]);
    await lab.ledger.record(recordOf(one, 'gone', DISABLES));
    await lab.ledger.record(recordOf(two, 'retrying'));
    expect(lab.disabled).toEqual([]);
    expect(await lab.rows('select state from delivery order by state')).toEqual([
      { state: 'gone' },
      { state: 'stopped' },
    ]);
  });
});

describe('many processes at few destinations', () => {
  it('never have more than ten requests in flight at one, and get through all of it without a deadlock', async () => {
    const { applicationId } = await backlog(0);
    await lab.destination(applicationId);
    await lab.tell(applicationId, 120);
    const ledgers = [lab.otherLedger(), lab.otherLedger(), lab.otherLedger()];
    const underWay = new Map<string, number>();
    let most = 0;
    const done = new Set<string>();
    const outcomes: AttemptRecord['state'][] = ['delivered', 'retrying', 'delivered'];

    await Promise.all(
      ledgers.flatMap((ledger) =>
        [1, 2, 3].map(async () => {
          while (done.size < 240) {
            const { claimed } = await ledger.claimDue(7);
            for (const { destinationId } of claimed) {
              underWay.set(destinationId, (underWay.get(destinationId) ?? 0) + 1);
              most = Math.max(most, ...underWay.values());
            }
            await Promise.all(
              claimed.map(async (one, index) => {
                await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
                underWay.set(one.destinationId, (underWay.get(one.destinationId) ?? 0) - 1);
                const state = outcomes[(index + done.size) % outcomes.length] ?? 'delivered';
                await ledger.record(recordOf(one, state));
                done.add(one.deliveryId);
              }),
            );
          }
        }),
      ),
    );
    expect(most).toBeGreaterThan(5);
    expect(most).toBeLessThanOrEqual(10);
    const attempts = await lab.rows('select delivery_id, count(*)::int from delivery_attempt group by 1');
    expect(attempts).toHaveLength(240);
    expect(new Set(attempts.map(({ count }) => count))).toEqual(new Set([1]));
    await lab.closeOthers();
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });

  it('fail, are switched off and on, and repaired all at once without a deadlock', async () => {
    const applicationId = await lab.application();
    const destinations = [await lab.destination(applicationId), await lab.destination(applicationId)];
    await lab.tell(applicationId, 60);
    const other = lab.otherTenants();
    const ledger = deliveryLedger(other, testSealer);
    const states: AttemptRecord['state'][] = ['retrying', 'delivered', 'gone', 'retrying', 'exhausted'];
    const pick = <T>(from: readonly T[], n: number): T => from[n % from.length] as T;
    let taken = 0;

    const send = async () => {
      for (let n = 0; n < 25; n += 1) {
        const { claimed } = await ledger.claimDue(6);
        taken += claimed.length;
        // Both destinations' at once, as a token's round records them.
        const records = claimed.map((one, index) => {
          const state = pick(states, n + index);
          return recordOf(one, state, {
            disables: state === 'gone' ? 'gone' : null,
            slowDestinationMs: index === 3 ? 1 : null,
          });
        });
        await other.acrossTenants('delivery', (sql) => recordAttempts(sql, testSealer, records));
      }
    };
    const runOne = async () => {
      for (let n = 0; n < 15; n += 1) {
        const rows = await lab.rows<{ id: string }>(
          `update delivery set next_at = handoff_now() where delivery_id in (
             select delivery_id from delivery where owner = 'run' and ended_at is null limit 5 for update skip locked)
           returning delivery_id as id`,
        );
        for (const { id } of rows) {
          const claim = await ledger.claimOne(id);
          if ('eventId' in claim) await ledger.record(recordOf(claim, pick(states, n)));
        }
      }
    };
    const own = async () => {
      for (let n = 0; n < 20; n += 1) {
        const destinationId = pick(destinations, n);
        await lab.byHand(destinationId);
        const enabled = n % 4 !== 3;
        await other.withTenant(applicationId, (sql) =>
          updateDestination(sql, applicationId, destinationId, { enabled }),
        );
      }
    };
    const tidy = async () => {
      for (let n = 0; n < 15; n += 1) {
        await moveDeliveries(other);
        await other.acrossTenants('relay', async (sql) => settleLostAttempts(sql));
      }
    };
    await Promise.all([send(), send(), send(), runOne(), runOne(), own(), own(), tidy()]);
    expect(taken).toBeGreaterThan(40);
    await lab.closeOthers();
    expect(await deadlocksOf(lab.database.url)).toBe(0);
  });
});
