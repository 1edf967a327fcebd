import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  continueAsNew,
  defineQuery,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { hasEnded, UNKNOWN_IMPORT, type ImportProgress } from '../domain/session-import.ts';
import { IMPORT_PROGRESS_QUERY } from '../domain/temporal-names.ts';
import type { SessionImportActivities } from './activity-types.ts';
import { untilReadable } from './readable-result.ts';

/** Input of {@link SessionImport}: which import, and where a run that continues another one begins. */
export interface SessionImportInput {
  /** UUID of the import's row. */
  readonly importId: string;
  /** Index of the first part to take in; default 0. */
  readonly nextPart?: number;
}

/** How far the run knows that the import has come. Our API answers from Postgres. */
export const importProgress = defineQuery<ImportProgress>(IMPORT_PROGRESS_QUERY);

/** Parts that one run takes in: some two thousand events of history. */
const PARTS_PER_RUN = 300;

const patiently = {
  scheduleToCloseTimeout: '7 days',
  retry: { initialInterval: '1s', maximumInterval: '1m' },
  cancellationType: 'TRY_CANCEL',
} as const;

const { importPart } = proxyActivities<SessionImportActivities>({
  ...patiently,
  // Storing the files of a part may take a while; a worker that died costs the shorter time.
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '10s',
});
const { endImport } = proxyActivities<SessionImportActivities>({ ...patiently, startToCloseTimeout: '10s' });

/**
 * Takes a file of sessions in, part by part. It follows the row that Postgres answers with: a part that is in already is
 * not taken in again, and an import that was cancelled meanwhile ends the run.
 *
 * @returns how the import ended, in numbers
 */
export async function SessionImport(input: SessionImportInput): Promise<ImportProgress> {
  // Started by hand with something else.
  if (typeof input?.importId !== 'string') return UNKNOWN_IMPORT;
  const { importId } = input;
  let progress: ImportProgress = { ...UNKNOWN_IMPORT, status: 'pending', nextPart: input.nextPart ?? 0 };
  setHandler(importProgress, () => progress);

  try {
    for (let parts = 0; !hasEnded(progress.status); parts += 1) {
      if (parts >= PARTS_PER_RUN || workflowInfo().continueAsNewSuggested) {
        await continueAsNew<typeof SessionImport>({ importId, nextPart: progress.nextPart });
      }
      const part = progress.nextPart;
      show(
        await untilReadable(() => importPart.executeWithOptions({ summary: `Part ${part + 1}` }, [{ importId, part }])),
      );
    }
    return progress;
  } catch (error) {
    if (isCancellation(error)) {
      show(await CancellationScope.nonCancellable(() => end('cancelled', 'run_terminated', 'Cancel the import')));
      // Too late to cancel: every row is in.
      if (progress.status === 'completed') return progress;
      throw error;
    }
    if (!(error instanceof ActivityFailure)) throw error;
    show(await end('failed', 'run_failed', 'Give the import up'));
    throw ApplicationFailure.create({
      type: 'import_failed',
      message: 'A part could not be taken in for seven days',
      nonRetryable: true,
    });
  }

  function end(as: 'failed' | 'cancelled', why: 'run_failed' | 'run_terminated', summary: string) {
    return untilReadable(() => endImport.executeWithOptions({ summary }, [{ importId, as, why }]));
  }

  function show(now: ImportProgress): void {
    progress = now;
    const { processedRows, totalRows, createdCount, skippedCount, failedCount } = now;
    setCurrentDetails(
      `${now.status}: ${processedRows} of ${totalRows} rows; ${createdCount} new, ${skippedCount} there already, ${failedCount} bad`,
    );
  }
}
