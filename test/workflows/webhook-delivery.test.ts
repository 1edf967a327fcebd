import { randomUUID } from 'node:crypto';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { describe, expect, it } from 'vitest';
import type { WebhookDeliveryRun } from '../../src/client.ts';
import { TASK_QUEUES, WEBHOOK_DELIVERY, webhookDeliveryWorkflowId } from '../../src/domain/temporal-names.ts';
import type { AttemptResult } from '../../src/workflows/activity-types.ts';
import { keepHistory } from '../support/saved-histories.ts';
import { timersOf } from '../support/timers.ts';
import { hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const HOUR = 3_600_000;
const ended = (state: string): AttemptResult => ({ ended: true, state });
const notYet = (retryInMs: number): AttemptResult => ({ ended: false, retryInMs });

interface Begun {
  readonly run: WebhookDeliveryRun;
  /** How often the run has asked so far. */
  readonly looks: () => number;
}

/** A delivery whose nth look ends as told, and the run at it. */
async function begin(
  delayMs: number,
  answer: (look: number, begun: Begun) => AttemptResult | Promise<AttemptResult>,
): Promise<Begun> {
  const ids = { deliveryId: randomUUID(), eventId: randomUUID(), destinationId: randomUUID() };
  let looks = 0;
  const begun: Begun = { run: { ...ids, applicationId: randomUUID(), delayMs }, looks: () => looks };
  lab.attemptDelivery.set(ids.deliveryId, (look) => {
    looks = look;
    return answer(look, begun);
  });
  expect(await lab.client.startWebhookDelivery(begun.run)).toBe('started');
  return begun;
}

const handleOf = ({ run }: Begun) =>
  lab.env.client.workflow.getHandle(webhookDeliveryWorkflowId(run.eventId, run.destinationId));

/** Waits for a run's end: its result, and the waits that it asked the server for in milliseconds. */
async function endOf(
  begun: Begun,
  path?: string,
): Promise<{ state: unknown; waits: number[]; cutShort: number; history: History }> {
  const state: unknown = await handleOf(begun).result();
  const history = await handleOf(begun).fetchHistory();
  expect(history).toSatisfy(hasNoFailedTask);
  if (path !== undefined) await keepHistory(`WebhookDelivery-${path}`, history);
  return { state, ...timersOf(history), history };
}

describe('a run', () => {
  it('ends with the first attempt that ends the delivery, whatever it came to', async () => {
    const one = await begin(5_250, () => ended('delivered'));
    expect(await endOf(one, 'delivered')).toMatchObject({ state: 'delivered', waits: [5_250], cutShort: 0 });
    const other = await begin(60_000, () => ended('gone'));
    expect(await endOf(other)).toMatchObject({ state: 'gone', waits: [60_000] });
  });

  it('waits as long as each attempt tells it to, for days', async () => {
    const told = [55_000, 14 * HOUR, 24 * HOUR];
    const begun = await begin(4_000, (look) => {
      const retryInMs = told[look - 1];
      return retryInMs === undefined ? ended('exhausted') : notYet(retryInMs);
    });
    expect(await endOf(begun, 'exhausted')).toMatchObject({ state: 'exhausted', waits: [4_000, ...told] });
  });

  it('tries an attempt again that could not be made, without another wait of the schedule', async () => {
    const begun = await begin(5_000, (look) => {
      if (look <= 20) throw new Error('no database');
      return ended('delivered');
    });
    expect(await endOf(begun, 'outage')).toMatchObject({ state: 'delivered', waits: [5_000] });
  });

  it('looks again as often as a destination out of order makes it, and delivers after that', async () => {
    const begun = await begin(5_000, (look) => (look <= 5 ? notYet(60_000) : ended('delivered')));
    const { state, waits } = await endOf(begun, 'delivered-after-open-circuit');
    expect(state).toBe('delivered');
    expect(waits).toEqual([5_000, ...Array.from({ length: 5 }, () => 60_000)]);
  });

  it('goes on in another run after some hundred looks, with the wait that it was told', async () => {
    const begun = await begin(1_000, (look) => (look < 203 ? notYet(60_000 + look) : ended('delivered')));
    const { state, waits, history } = await endOf(begun, 'continued');
    expect({ state, waits }).toEqual({ state: 'delivered', waits: [60_200, 60_201, 60_202] });
    const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
    expect(started?.continuedExecutionRunId).toMatch(/./);
    expect(begun.looks()).toBe(203);
  });

  it('ends when its delivery is held; released and failed again, the delivery has another run', async () => {
    const begun = await begin(5_000, (look) => ended(look === 1 ? 'held' : 'delivered'));
    expect(await endOf(begun, 'held')).toMatchObject({ state: 'held', waits: [5_000] });
    expect(await lab.client.startWebhookDelivery({ ...begun.run, delayMs: 7_000 })).toBe('started');
    expect(await endOf(begun)).toMatchObject({ state: 'delivered', waits: [7_000] });
  });

  it.each([{}, { deliveryId: 7, delayMs: 1 }, { deliveryId: randomUUID() }])(
    'stops when it was started by hand with %j',
    async (input) => {
      const started = { workflowId: randomUUID(), taskQueue: TASK_QUEUES.webhooks, args: [input] };
      expect(await lab.env.client.workflow.execute(WEBHOOK_DELIVERY, started)).toBe('stopped');
    },
  );
});

describe('a run that is told that its delivery is due', () => {
  it('looks at once, however long it was to wait', async () => {
    const begun = await begin(24 * HOUR, (look) => (look === 1 ? notYet(2 * HOUR) : ended('delivered')));
    await lab.pass('1 minute');
    expect(begun.looks()).toBe(0);
    expect(await lab.client.startWebhookDelivery(begun.run)).toBe('signalled');
    await expect.poll(begun.looks).toBe(1);
    // What it has been told of is done with: it waits again as the row has it.
    await lab.pass('1 minute');
    expect(begun.looks()).toBe(1);
    expect(await lab.client.startWebhookDelivery(begun.run)).toBe('signalled');
    expect(await endOf(begun, 'woken')).toMatchObject({
      state: 'delivered',
      waits: [24 * HOUR, 2 * HOUR],
      cutShort: 2,
    });
  });

  it('during a look: looks again without a wait, once for all that it was told', async () => {
    const begun = await begin(1_000, async (look, { run }) => {
      if (look > 1) return ended('delivered');
      for (let times = 0; times < 5; times += 1) {
        expect(await lab.client.startWebhookDelivery(run)).toBe('signalled');
      }
      return notYet(24 * HOUR);
    });
    expect(await endOf(begun, 'woken-during-look')).toMatchObject({ state: 'delivered', waits: [1_000] });
    expect(begun.looks()).toBe(2);
  });

  it('while it is about to end: looks again before it does', async () => {
    const begun = await begin(1_000, async (look, { run }) => {
      // After the row was read, before the run's end.
      if (look === 1) await lab.client.startWebhookDelivery(run);
      return ended(look === 1 ? 'held' : 'delivered');
    });
    expect(await endOf(begun, 'woken-while-ending')).toMatchObject({ state: 'delivered' });
    expect(begun.looks()).toBe(2);
  });
});
