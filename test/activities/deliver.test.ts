import { MockActivityEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/activity';
import { expect, it } from 'vitest';
import { deliverActivity } from '../../src/activities/deliver.ts';
import type { AttemptRecord, ClaimedDelivery, TokenDeliveryLedger } from '../../src/webhooks/ports.ts';
import { claimedDelivery } from '../support/claimed-delivery.ts';
import { fakeNetwork, type Reply } from '../support/fake-destinations.ts';

/** A round with one destination for each reply, and others that let nothing through for so long. */
async function failureOf(
  replies: readonly Reply[],
  opensInMs: number | null,
  attempt = 1,
): Promise<ApplicationFailure> {
  const ledger: TokenDeliveryLedger = {
    begin: () =>
      Promise.resolve({
        open: true,
        withToken: true,
        deliveries: replies.map((reply, index) => ({ ...delivery(reply, index), attempt, scheduledSoFar: attempt })),
        opensInMs,
      }),
    finish: (_tokenId, _round, records: readonly AttemptRecord[]) =>
      Promise.resolve({ delivered: 0, pending: records.length + (opensInMs === null ? 0 : 1), failedStates: [] }),
  };
  const { deliverShareToken } = deliverActivity(
    ledger,
    fakeNetwork(
      replies.map((reply) => () => reply),
      [],
    ),
  );
  const run = new MockActivityEnvironment().run(deliverShareToken, { tokenId: 'token' });
  const failure: unknown = await run.catch((error: unknown) => error);
  if (!(failure instanceof ApplicationFailure)) throw new Error('the round was to fail');
  return failure;
}

const delivery = (_reply: Reply, index: number): ClaimedDelivery =>
  claimedDelivery({
    eventType: 'share.received',
    destinationId: String(index),
    url: `https://d${index}.partner.example/`,
  });

const delayOf = ({ nextRetryDelay }: ApplicationFailure) => Number(nextRetryDelay);

it('comes back when the destination that lets nothing through does so again', async () => {
  const failure = await failureOf([], 60_000);
  expect(failure).toMatchObject({ type: 'delivery_failed', nonRetryable: false });
  expect(failure.message).toBe('1 destination(s) still to be tried: busy, slow or out of order');
  expect(delayOf(failure)).toBeGreaterThanOrEqual(61_000);
  expect(delayOf(failure)).toBeLessThanOrEqual(63_000);
});

it('comes back after some seconds when it was only busy, and after five minutes at most', async () => {
  expect(delayOf(await failureOf([], 0))).toBeLessThanOrEqual(3_000);
  expect(delayOf(await failureOf([], 3_600_000))).toBe(300_000);
});

it('comes back by the attempts of a destination that failed, not by rounds that sent it nothing', async () => {
  expect(delayOf(await failureOf([500], 60_000))).toBe(2_000);
  expect(delayOf(await failureOf([500], null, 3))).toBe(8_000);
  expect(delayOf(await failureOf([500], null, 40))).toBe(300_000);
});

it('comes back as early as the first wants that asked for time', async () => {
  expect(delayOf(await failureOf([429], null))).toBe(60_000);
  expect(delayOf(await failureOf([429], 20_000))).toBeLessThanOrEqual(23_000);
});

it('waits a little with a notice that its destinations are too busy for', async () => {
  let looks = 0;
  const ledger: TokenDeliveryLedger = {
    begin: () => {
      looks += 1;
      const deliveries = looks < 3 ? [] : [delivery(204, 0)];
      return Promise.resolve({ open: true, withToken: false, deliveries, opensInMs: looks < 3 ? 0 : null });
    },
    finish: (_tokenId, _round, records) =>
      Promise.resolve({
        delivered: records.filter(({ state }) => state === 'delivered').length,
        pending: 0,
        failedStates: [],
      }),
  };
  const { deliverShareToken } = deliverActivity(ledger, fakeNetwork([() => 204], []));
  expect(await new MockActivityEnvironment().run(deliverShareToken, { tokenId: 'token' })).toEqual({ pending: 0 });
  expect(looks).toBe(3);
});
