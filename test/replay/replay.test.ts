import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { bundleWorkflowCode, DefaultLogger, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { beforeAll, expect, inject, it } from 'vitest';
import { ENDINGS } from '../../src/domain/onboarding.ts';
import { savedHistories, type SavedHistory } from '../support/saved-histories.ts';
import { logUnexpectedWarnings } from '../support/workflow-logs.ts';

let histories: SavedHistory[] = [];
beforeAll(async () => {
  // What the mutated code is meant to bring about.
  logUnexpectedWarnings(/^Failing workflow task/);
  histories = await savedHistories();
});

/** What became of replaying each history, by its name. */
async function replay(workflowBundle: WorkflowBundleOption): Promise<Map<string, Error | undefined>> {
  const outcomes = new Map<string, Error | undefined>();
  const names = new Map(histories.map(({ workflowId, name }) => [workflowId, name]));
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
    outcomes.set(names.get(workflowId) ?? workflowId, error);
  }
  return outcomes;
}

it('every saved run replays on the present code', async () => {
  const outcomes = await replay({ codePath: inject('bundlePath') });
  expect(outcomes.size).toBe(histories.length);
  expect([...outcomes].filter(([, error]) => error !== undefined)).toEqual([]);
});

it('every ending has a saved run, and so have a cancellation, a fallback, an outage and a delivery’s retries', () => {
  const endings = histories.map(({ history }) => {
    const last = history.events?.at(-1);
    const [result] = last?.workflowExecutionCompletedEventAttributes?.result?.payloads ?? [];
    if (last?.workflowExecutionFailedEventAttributes != null) return 'failed run';
    if (result?.data == null) return last?.workflowExecutionCanceledEventAttributes == null ? 'none' : 'canceled';
    const value = JSON.parse(Buffer.from(result.data).toString()) as string | { status: string };
    if (typeof value === 'string') return value === 'settled' ? 'files settled' : `delivery ${value}`;
    return value.status;
  });
  expect(endings).toEqual(expect.arrayContaining([...ENDINGS, 'canceled']));
  expect(endings).toEqual(expect.arrayContaining(['delivery delivered', 'delivery exhausted', 'delivery held']));
  // Of an import: every row looked at, cancelled by a call, and given up.
  expect(endings).toEqual(expect.arrayContaining(['completed', 'cancelled', 'failed run']));
  expect(endings).toContain('files settled');
  expect(endings).not.toContain('none');
  const names = histories.map(({ name }) => name).join(' ');
  expect(names).toMatch(/PartnerOnboarding-fallback-/);
  expect(names).toMatch(/PartnerOnboarding-outage-/);
  expect(names).toMatch(/WebhookDelivery-woken/);
});

it('a change that no saved run knows is told apart in every one of them', async () => {
  const bundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('./mutated-workflows.ts', import.meta.url)),
    logger: new DefaultLogger('WARN'),
  });
  const outcomes = await replay(bundle);
  expect(outcomes.size).toBe(histories.length);
  for (const [name, error] of outcomes) {
    expect(error, name).toBeInstanceOf(DeterminismViolationError);
    expect(error?.message, name).toContain('TMPRL1100');
  }
});
