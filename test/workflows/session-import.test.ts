import { randomUUID } from 'node:crypto';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { expect, it } from 'vitest';
import { hasEnded, UNKNOWN_IMPORT, type ImportProgress } from '../../src/domain/session-import.ts';
import { IMPORT_PROGRESS_QUERY, sessionImportWorkflowId, TASK_QUEUES } from '../../src/domain/temporal-names.ts';
import { keepHistory } from '../support/saved-histories.ts';
import { hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const ROWS_A_PART = 10;

/** An import in memory: each part has ten rows, of which the first is bad and the second there already. */
interface FakeImport {
  readonly importId: string;
  row: ImportProgress;
  /** Calls of `importPart`, by part. */
  readonly calls: number[];
  /** What a call meets: a fault before or after the effect, or a change by somebody else. */
  before?: (part: number, call: number) => void | Promise<void>;
  after?: (part: number, call: number) => void;
}

function fakeImport(parts: number): FakeImport {
  const made: FakeImport = {
    importId: randomUUID(),
    row: { ...UNKNOWN_IMPORT, status: 'pending', totalRows: parts * ROWS_A_PART },
    calls: [],
  };
  lab.imports.set(made.importId, {
    importPart: async ({ part }) => {
      const call = made.calls.push(part);
      await made.before?.(part, call);
      const { row } = made;
      if (!hasEnded(row.status) && row.nextPart === part) {
        made.row = {
          status: part + 1 === parts ? 'completed' : 'processing',
          nextPart: part + 1,
          totalRows: row.totalRows,
          processedRows: row.processedRows + ROWS_A_PART,
          createdCount: row.createdCount + ROWS_A_PART - 2,
          skippedCount: row.skippedCount + 1,
          failedCount: row.failedCount + 1,
        };
      }
      made.after?.(part, call);
      return made.row;
    },
    endImport: async ({ as }) => {
      if (!hasEnded(made.row.status)) made.row = { ...made.row, status: as };
      return made.row;
    },
  });
  return made;
}

async function start({ importId }: FakeImport): Promise<WorkflowHandle> {
  expect(await lab.client.startSessionImport(importId)).toBe('started');
  return lab.env.client.workflow.getHandle(sessionImportWorkflowId(importId));
}

/** Waits for the end of the last run; its state, result and history. */
async function endOf(
  handle: WorkflowHandle,
  path?: string,
): Promise<{ state: string; result: unknown; history: History }> {
  let result: unknown = null;
  try {
    result = await handle.result();
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    result = error.cause;
  }
  const [{ status }, history] = await Promise.all([handle.describe(), handle.fetchHistory()]);
  expect(history).toSatisfy(hasNoFailedTask);
  if (path !== undefined) await keepHistory(`SessionImport-${path}`, history);
  return { state: status.name, result, history };
}

it('takes every part in, once and in order, and tells how far it is', async () => {
  const file = fakeImport(4);
  const seen: ImportProgress[] = [];
  const handle = lab.env.client.workflow.getHandle(sessionImportWorkflowId(file.importId));
  file.before = async (part) => {
    if (part === 2) seen.push(await handle.query<ImportProgress>(IMPORT_PROGRESS_QUERY));
  };
  await start(file);
  expect(await lab.client.startSessionImport(file.importId)).toBe('already_started');
  const ended = await endOf(handle, 'completed');
  expect(ended).toMatchObject({ state: 'COMPLETED', result: file.row });
  expect(file.calls).toEqual([0, 1, 2, 3]);
  expect(file.row).toEqual({
    status: 'completed',
    nextPart: 4,
    totalRows: 40,
    processedRows: 40,
    createdCount: 32,
    skippedCount: 4,
    failedCount: 4,
  });
  expect(seen).toMatchObject([{ status: 'processing', processedRows: 20 }]);
  expect(await lab.client.describeSessionImport(file.importId)).toBe('completed');
  // An id is used once, for ever.
  expect(await lab.client.startSessionImport(file.importId)).toBe('already_started');
});

it('tries a part again that failed, also when it was in already', async () => {
  const file = fakeImport(3);
  file.before = (part, call) => {
    if (part === 1 && call < 8) throw new Error('no database');
  };
  let lost = 0;
  file.after = (part) => {
    if (part === 2 && (lost += 1) === 1) throw new Error('the answer is lost');
  };
  const { state } = await endOf(await start(file), 'outage');
  expect(state).toBe('COMPLETED');
  expect(file.row).toMatchObject({ status: 'completed', processedRows: 30, createdCount: 24 });
  expect(file.calls.filter((part) => part === 2)).toHaveLength(2);
});

it('ends with an import that was cancelled by a call', async () => {
  const file = fakeImport(5);
  file.before = (part) => {
    if (part === 2) file.row = { ...file.row, status: 'cancelled' };
  };
  const { state, result } = await endOf(await start(file), 'cancelled-by-call');
  expect(state).toBe('COMPLETED');
  expect(result).toMatchObject({ status: 'cancelled', processedRows: 20 });
  expect(file.calls).toEqual([0, 1, 2]);
});

it('ends the import when the run is cancelled, also while Postgres is away', async () => {
  const file = fakeImport(5);
  file.before = (part) => {
    if (part === 1) throw new Error('no database');
  };
  const handle = await start(file);
  await lab.pass('10m');
  await handle.cancel();
  const { state } = await endOf(handle, 'canceled');
  expect(state).toBe('CANCELLED');
  expect(file.row).toMatchObject({ status: 'cancelled', processedRows: 10 });
});

it('completes when it is cancelled after the last row', async () => {
  const file = fakeImport(1);
  file.after = () => {
    throw new Error('the answer is lost');
  };
  const handle = await start(file);
  await lab.pass('2s');
  await handle.cancel();
  const { state, result } = await endOf(handle, 'completed-despite-cancel');
  expect(state).toBe('COMPLETED');
  expect(result).toMatchObject({ status: 'completed', processedRows: 10 });
});

it('gives an import up that fails for seven days', async () => {
  const file = fakeImport(2);
  let firstFailure = 0;
  file.before = async (part) => {
    if (part === 0) return;
    firstFailure ||= await lab.env.currentTimeMs();
    // At its own pace the run would try some ten thousand times.
    throw ApplicationFailure.create({ message: 'no database', nextRetryDelay: '7h' });
  };
  const handle = await start(file);
  const { state, result } = await endOf(handle, 'failed');
  expect(state).toBe('FAILED');
  expect(result).toMatchObject({ type: 'import_failed' });
  expect(file.row).toMatchObject({ status: 'failed', processedRows: 10 });
  const days = ((await lab.env.currentTimeMs()) - firstFailure) / 86_400_000;
  expect(days).toBeGreaterThan(6.5);
});

it('goes on in another run after some hundred parts', async () => {
  const file = fakeImport(302);
  const handle = await start(file);
  const { state, history } = await endOf(handle, 'continued');
  expect(state).toBe('COMPLETED');
  expect(file.calls).toEqual(Array.from({ length: 302 }, (_, part) => part));
  const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
  expect(started?.continuedExecutionRunId).toMatch(/./);
});

it.for([[{}], [{ importId: 7 }], []])('has nothing to do for %j, started by hand', async (args) => {
  const workflowId = `by-hand-${randomUUID()}`;
  const handle = await lab.env.client.workflow.start('SessionImport', {
    workflowId,
    taskQueue: TASK_QUEUES.onboarding,
    args,
  });
  expect(await handle.result()).toEqual(UNKNOWN_IMPORT);
});
