import { randomUUID } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import {
  mediaFetchWorkflowId,
  sessionImportWorkflowId,
  webhookDeliveryWorkflowId,
} from '../../src/domain/temporal-names.ts';
import { UNKNOWN_IMPORT, type ImportProgress } from '../../src/domain/session-import.ts';
import { expectEnding, hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();

/** As a codec leaves a result that it does not take. */
const unreadable = undefined as never;

async function resultOf(workflowId: string): Promise<unknown> {
  const run = lab.env.client.workflow.getHandle(workflowId);
  const result: unknown = await run.result();
  expect(await run.fetchHistory()).toSatisfy(hasNoFailedTask);
  return result;
}

describe('a step whose result cannot be read is made again', () => {
  it('an attempt of a delivery', async () => {
    const run = { deliveryId: randomUUID(), eventId: randomUUID(), destinationId: randomUUID() };
    let looks = 0;
    lab.attemptDelivery.set(run.deliveryId, (look) => {
      looks = look;
      return look < 3 ? unreadable : { ended: true, state: 'delivered' };
    });
    await lab.client.startWebhookDelivery({ ...run, applicationId: randomUUID(), delayMs: 1_000 });
    expect(await resultOf(webhookDeliveryWorkflowId(run.eventId, run.destinationId))).toBe('delivered');
    expect(looks).toBe(3);
  });

  it('a round of fetching', async () => {
    const sessionId = randomUUID();
    lab.fetches.set(sessionId, (round) => (round === 1 ? unreadable : { ended: true }));
    await lab.client.startMediaFetch(sessionId);
    expect(await resultOf(mediaFetchWorkflowId(sessionId))).toBe('settled');
  });

  it('a part of an import', async () => {
    const importId = randomUUID();
    const done: ImportProgress = { ...UNKNOWN_IMPORT, status: 'completed', nextPart: 1 };
    const parts: number[] = [];
    lab.imports.set(importId, {
      importPart: async ({ part }) => (parts.push(part) === 1 ? unreadable : done),
      endImport: async () => done,
    });
    await lab.client.startSessionImport(importId);
    expect(await resultOf(sessionImportWorkflowId(importId))).toEqual(done);
    expect(parts).toEqual([0, 0]);
  });

  it('every step of an onboarding but the last, which answers nothing', async () => {
    const share = lab.share();
    const { activities } = share;
    const calls = new Map<string, number>();
    for (const name of ['mintShareToken', 'deliverShareToken', 'importSharedSession'] as const) {
      const step = activities[name] as (ref: { tokenId: string }) => Promise<never>;
      activities[name] = async (ref: { tokenId: string }) => {
        const answer = await step(ref);
        const call = (calls.get(name) ?? 0) + 1;
        calls.set(name, call);
        return call === 1 ? unreadable : answer;
      };
    }
    await lab.start(share);
    await expect.poll(async () => (await lab.view(share)).status, { timeout: 20_000 }).toBe('waiting');
    await share.acknowledge();
    expectEnding(share, await lab.end(share), {
      status: 'imported',
      reason: null,
      sessionId: share.rows().redeemedSessionId ?? '',
    });
    expect(Object.fromEntries(calls)).toMatchObject({ mintShareToken: 2, importSharedSession: 2 });
  });
});

it('and when that never changes, the run fails by a name of its own instead of standing still', async () => {
  const sessionId = randomUUID();
  let rounds = 0;
  lab.fetches.set(sessionId, (round) => {
    rounds = round;
    return unreadable;
  });
  await lab.client.startMediaFetch(sessionId);
  const run = lab.env.client.workflow.getHandle(mediaFetchWorkflowId(sessionId));
  const error: unknown = await run.result().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(WorkflowFailedError);
  const { cause } = error as WorkflowFailedError;
  expect(cause).toBeInstanceOf(ApplicationFailure);
  expect((cause as ApplicationFailure).type).toBe('unreadable_result');
  expect(rounds).toBe(30);
});
