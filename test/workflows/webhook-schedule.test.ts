import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { attemptActivity } from '../../src/activities/attempt-delivery.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { DELIVERY_DELAYS_MS, MAX_ATTEMPTS } from '../../src/domain/delivery-schedule.ts';
import { webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import { attemptDelivery, type AttemptTools } from '../../src/webhooks/attempt-delivery.ts';
import type { AttemptRecord, DeliveryLedger } from '../../src/webhooks/ports.ts';
import { claimedDelivery } from '../support/claimed-delivery.ts';
import { timersOf } from '../support/timers.ts';
import { hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

/* The real attempt, its real activity and the real run, with a receiver and rows of the test's making. */

const lab = workflowLab();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const keys = parseKeyRing(`test:${Buffer.alloc(32, 1).toString('base64url')}`);

/** What a receiver answers to the nth attempt. */
type Receiver = (attempt: number) => { readonly status: number; readonly retryAfter?: string };

interface Carried {
  readonly state: unknown;
  readonly records: readonly AttemptRecord[];
  /** Before attempts 2, 3, … as the sender or the attempt before asked for them, in milliseconds. */
  readonly told: readonly (number | null)[];
  /** As the run asked the server for them. */
  readonly waits: readonly number[];
  /** From the second attempt's wait to the end of the run, on the server's clock. */
  readonly spanMs: number;
}

/** Makes the first attempt as the sender does, and hands the delivery to a run; the answer waits for its end. */
async function begin(receiver: Receiver): Promise<() => Promise<Carried>> {
  const delivery = claimedDelivery();
  const records: AttemptRecord[] = [];
  const tools = toolsFor(() => receiver(records.length + 1));
  const claimed = () => {
    const next = records.length + 1;
    return { ...delivery, attempt: next, scheduledSoFar: next, scheduleAttempt: next };
  };
  const ledger: DeliveryLedger = {
    claimDue: () => Promise.resolve({ claimed: [], more: false, busy: false }),
    claimOne: () => Promise.resolve(claimed()),
    record: (record) => Promise.resolve(void records.push(record)),
  };
  const first = await attemptDelivery(claimed(), tools);
  records.push(first);
  if (first.retryInMs === null) throw new Error('the first attempt was to fail');

  const { attemptDelivery: activity } = attemptActivity(ledger, tools);
  const { deliveryId, eventId, destinationId } = delivery;
  lab.attemptDelivery.set(deliveryId, () => activity({ deliveryId }));
  const run = { deliveryId, eventId, destinationId, applicationId: randomUUID(), delayMs: first.retryInMs };
  expect(await lab.client.startWebhookDelivery(run)).toBe('started');
  const handle = lab.env.client.workflow.getHandle(webhookDeliveryWorkflowId(eventId, destinationId));
  return async () => {
    const state: unknown = await handle.result();
    const [history, { startTime, closeTime }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
    expect(history).toSatisfy(hasNoFailedTask);
    return {
      state,
      records,
      told: records.slice(0, -1).map(({ retryInMs }) => retryInMs),
      waits: timersOf(history).waits,
      spanMs: (closeTime?.getTime() ?? Number.NaN) - startTime.getTime(),
    };
  };
}

async function carry(receiver: Receiver): Promise<Carried> {
  const end = await begin(receiver);
  return end();
}

/** Many at once. One call lets the time pass: the server skips over tasks under way when several do. */
async function carryTogether(count: number, receiver: Receiver): Promise<Carried[]> {
  const ends = await Promise.all(Array.from({ length: count }, () => begin(receiver)));
  await lab.pass('100 hours');
  const runs: Carried[] = [];
  for (const end of ends) runs.push(await end());
  return runs;
}

function toolsFor(answer: () => ReturnType<Receiver>): AttemptTools {
  const seen = { webhookDelivery: null, locationHost: null, bodyHead: '', bodyTruncated: false, connectedIp: null };
  return {
    shareTokenKeys: keys,
    mediaUrl: () => 'https://files.example/',
    docsUrl: 'https://files.example/docs/',
    poster: {
      post: () => {
        const { status, retryAfter = null } = answer();
        return Promise.resolve({ kind: 'reply', status, retryAfter, durationMs: 1, ...seen });
      },
      close: () => Promise.resolve(),
    },
  };
}

describe('the schedule of a receiver that answers 500', () => {
  it('is twelve attempts over about three days, each delay within a fifth of its own, in every one of 50 runs', async () => {
    const runs = await carryTogether(50, () => ({ status: 500 }));
    for (const { state, records, told, waits, spanMs } of runs) {
      expect(state).toBe('exhausted');
      expect(records.map(({ scheduledSoFar }) => scheduledSoFar)).toEqual(
        Array.from({ length: MAX_ATTEMPTS }, (_, n) => n + 1),
      );
      expect(records.map(({ state: each }) => each)).toEqual([
        ...Array.from({ length: MAX_ATTEMPTS - 1 }, () => 'retrying'),
        'exhausted',
      ]);
      // The run waits as it was told, to the millisecond.
      expect(waits).toEqual(told);
      for (const [index, base] of DELIVERY_DELAYS_MS.entries()) {
        expect(waits[index], `before attempt ${index + 2}`).toBeGreaterThanOrEqual(0.8 * base);
        expect(waits[index], `before attempt ${index + 2}`).toBeLessThanOrEqual(1.2 * base);
      }
      // Four fifths of 76.6 h at least; each wait was really waited for.
      expect(spanMs).toBeGreaterThanOrEqual(waits.reduce((sum, wait) => sum + wait, 0));
      expect(spanMs).toBeGreaterThan(61 * HOUR);
    }
    for (const [index, base] of DELIVERY_DELAYS_MS.entries()) {
      const delays = runs.map(({ waits }) => (waits[index] ?? 0) / base);
      // Receivers that fell together do not rise together, and none is favoured.
      expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(0.2);
      const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
      expect(mean).toBeGreaterThan(0.9);
      expect(mean).toBeLessThan(1.1);
    }
  });

  it('stops with the attempt that is answered', async () => {
    const { state, records, waits } = await carry((attempt) => ({ status: attempt < 7 ? 500 : 204 }));
    expect({ state, attempts: records.length, waits: waits.length }).toEqual({
      state: 'delivered',
      attempts: 7,
      waits: 6,
    });
  });
});

describe('a receiver that asks for time', () => {
  const within = (wait: number | undefined, low: number, high: number) => {
    expect(wait).toBeGreaterThanOrEqual(low);
    expect(wait).toBeLessThanOrEqual(high);
  };

  it.each([429, 502, 503, 504])('with %i alone gets a minute at least, then the schedule', async (status) => {
    const { state, waits, records } = await carry(() => ({ status }));
    expect(state).toBe('exhausted');
    expect(records).toHaveLength(MAX_ATTEMPTS);
    // 5 s and 55 s are raised.
    expect(waits[0]).toBe(MINUTE);
    within(waits[1], MINUTE, 66_000);
    for (const [index, base] of DELIVERY_DELAYS_MS.entries()) {
      if (index >= 2) within(waits[index], 0.8 * base, 1.2 * base);
    }
  });

  it('by Retry-After gets what it asked for, between the schedule and twice the schedule', async () => {
    const { waits } = await carry(() => ({ status: 429, retryAfter: '3600' }));
    // Twice 5 s is less than the minute that every overload gets.
    expect(waits[0]).toBe(MINUTE);
    within(waits[1], 2 * 44_000, 2 * 66_000);
    within(waits[2], 2 * 0.8 * 4 * MINUTE, 2 * 1.2 * 4 * MINUTE);
    within(waits[3], 2 * 0.8 * 30 * MINUTE, HOUR);
    // An hour is what it asked for; twice the schedule is more, unless the jitter made that less.
    within(waits[4], HOUR, 1.2 * HOUR);
    // And the schedule alone where it is longer.
    for (const index of [5, 6, 7, 8, 9, 10]) {
      const base = DELIVERY_DELAYS_MS[index] ?? Number.NaN;
      within(waits[index], 0.8 * base, 1.2 * base);
    }
  });

  it('by a Retry-After of a week gets a day at most', async () => {
    const { waits } = await carry(() => ({ status: 503, retryAfter: String(7 * 86_400) }));
    // Twice 14 h, 20 h and 24 h are more than a day; the schedule's own day may be longer by its jitter.
    within(waits[8], 22.4 * HOUR, 24 * HOUR);
    expect(waits[9]).toBe(24 * HOUR);
    within(waits[10], 24 * HOUR, 28.8 * HOUR);
  });

  it('by a date, or by nonsense', async () => {
    const inTwoMinutes = () => new Date(Date.now() + 2 * MINUTE).toUTCString();
    const dated = await carry((attempt) =>
      attempt === 2 ? { status: 503, retryAfter: inTwoMinutes() } : { status: attempt < 3 ? 503 : 204 },
    );
    within(dated.waits[1], 88_000, 2 * MINUTE);
    const odd = await carry((attempt) => (attempt < 3 ? { status: 429, retryAfter: 'soon' } : { status: 204 }));
    expect(odd.waits[0]).toBe(MINUTE);
    within(odd.waits[1], MINUTE, 66_000);
  });

  it('is asked for time as a whole: five minutes at most', async () => {
    const { records } = await carry((attempt) => ({ status: attempt < 3 ? 429 : 204, retryAfter: '3600' }));
    expect(records.map(({ slowDestinationMs, hint }) => ({ slowDestinationMs, hint }))).toEqual([
      { slowDestinationMs: 5 * MINUTE, hint: 'slow_down' },
      { slowDestinationMs: 5 * MINUTE, hint: 'slow_down' },
      { slowDestinationMs: null, hint: null },
    ]);
  });
});
