import { randomUUID } from 'node:crypto';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { expect, it } from 'vitest';
import { MEDIA_FETCH, mediaFetchWorkflowId, TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import type { FetchResult } from '../../src/workflows/activity-types.ts';
import { keepHistory } from '../support/saved-histories.ts';
import { hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const HOUR = 3_600_000;
const DONE: FetchResult = { ended: true };
const again = (retryInMs: number): FetchResult => ({ ended: false, retryInMs });

interface Run {
  readonly sessionId: string;
  /** Rounds so far. */
  readonly rounds: () => number;
}

/** A session whose nth round of fetching ends as told, and the run at it. */
async function begin(answer: (round: number, run: Run) => FetchResult | Promise<FetchResult>): Promise<Run> {
  let rounds = 0;
  const run: Run = { sessionId: randomUUID(), rounds: () => rounds };
  lab.fetches.set(run.sessionId, (round) => {
    rounds = round;
    return answer(round, run);
  });
  await lab.client.startMediaFetch(run.sessionId);
  return run;
}

/** Waits for the end; the waits that the run asked for in milliseconds, and whether any was cut short. */
async function settled({ sessionId }: Run, path?: string): Promise<{ waits: number[]; cutShort: number }> {
  const handle = lab.env.client.workflow.getHandle(mediaFetchWorkflowId(sessionId));
  expect(await handle.result()).toBe('settled');
  const history = await handle.fetchHistory();
  expect(history).toSatisfy(hasNoFailedTask);
  if (path !== undefined) await keepHistory(`MediaFetch-${path}`, history);
  return { waits: waitsOf(history), cutShort: eventsOf(history, 'timerCanceledEventAttributes').length };
}

function eventsOf(history: History, attributes: 'timerCanceledEventAttributes' | 'timerStartedEventAttributes') {
  return (history.events ?? []).filter((event) => event[attributes] != null);
}

function waitsOf(history: History): number[] {
  return eventsOf(history, 'timerStartedEventAttributes').map(({ timerStartedEventAttributes: timer }) => {
    const { seconds, nanos } = timer?.startToFireTimeout ?? {};
    return Number(seconds ?? 0) * 1_000 + (nanos ?? 0) / 1e6;
  });
}

it('ends when nothing is left to fetch, and begins anew when it is told of more', async () => {
  const run = await begin(() => DONE);
  expect(await settled(run, 'fetched')).toEqual({ waits: [], cutShort: 0 });
  const before = run.rounds();
  await lab.client.startMediaFetch(run.sessionId);
  await settled(run);
  expect(run.rounds()).toBeGreaterThan(before);
});

it('goes on at once while files are due', async () => {
  const run = await begin((round) => (round < 4 ? again(0) : DONE));
  expect(await settled(run)).toEqual({ waits: [], cutShort: 0 });
});

it('waits as long as each round tells it to, for a day', async () => {
  const told = [10_000, 60_000, HOUR, 8 * HOUR, 8 * HOUR];
  const run = await begin((round) => {
    const retryInMs = told[round - 1];
    return retryInMs === undefined ? DONE : again(retryInMs);
  });
  expect(await settled(run, 'retried')).toEqual({ waits: told, cutShort: 0 });
});

it('looks at once when it is told of more files during a long wait', async () => {
  let waiting = () => {};
  const firstRound = new Promise<void>((resolve) => {
    waiting = resolve;
  });
  const run = await begin((round) => {
    if (round === 1) waiting();
    return round === 1 ? again(8 * HOUR) : DONE;
  });
  await firstRound;
  await lab.pass('1 minute');
  await lab.client.startMediaFetch(run.sessionId);
  expect(await settled(run, 'told-while-waiting')).toEqual({ waits: [8 * HOUR], cutShort: 1 });
});

it('looks again when it is told of more files while it is about to end', async () => {
  const run = await begin(async (round, { sessionId }) => {
    // After the look that found nothing, before its end.
    if (round <= 2) await lab.client.startMediaFetch(sessionId);
    return DONE;
  });
  await settled(run, 'told-while-ending');
  expect(run.rounds()).toBe(3);
});

it('goes on in another run after some hundred rounds', async () => {
  const run = await begin((round) => (round < 203 ? again(0) : DONE));
  const handle = lab.env.client.workflow.getHandle(mediaFetchWorkflowId(run.sessionId));
  await settled(run, 'continued');
  const started = (await handle.fetchHistory()).events?.[0]?.workflowExecutionStartedEventAttributes;
  expect(started?.continuedExecutionRunId).toMatch(/./);
  expect(run.rounds()).toBe(203);
});

it('tries a round again that could not be made', async () => {
  const run = await begin((round) => {
    if (round <= 20) throw new Error('no database');
    return DONE;
  });
  expect(await settled(run, 'outage')).toEqual({ waits: [], cutShort: 0 });
});

it('stops when it was started by hand with something else', async () => {
  const started = { workflowId: randomUUID(), taskQueue: TASK_QUEUES.webhooks, args: [{}] };
  expect(await lab.env.client.workflow.execute(MEDIA_FETCH, started)).toBe('stopped');
});
