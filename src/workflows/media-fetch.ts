import {
  condition,
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { FILES_EXPECTED_SIGNAL, TASK_QUEUES } from '../domain/temporal-names.ts';
import type { MediaActivities } from './activity-types.ts';
import { untilReadable } from './readable-result.ts';

/** Input of {@link MediaFetch}: whose files to fetch. */
export interface MediaFetchInput {
  /** UUID. */
  readonly sessionId: string;
}

const filesExpected = defineSignal(FILES_EXPECTED_SIGNAL);

/** Rounds that one run makes: some two thousand events of history. */
const ROUNDS_PER_RUN = 200;

const { fetchSessionFiles } = proxyActivities<MediaActivities>({
  taskQueue: TASK_QUEUES.webhooks,
  // A handful of files of up to a minute each; it tells after each one that it lives.
  startToCloseTimeout: '15 minutes',
  heartbeatTimeout: '2 minutes',
  // Without a worker or a database so long, every link has expired.
  scheduleToCloseTimeout: '2 days',
  retry: { initialInterval: '2s', maximumInterval: '1m' },
});

/**
 * Fetches a session's files from their source until each is here or given up (`domain/media-fetch.ts`). Told of more
 * files, it looks at once, however long it was to wait; told while it ends, it looks again.
 *
 * @returns `settled`, or `stopped` when it was started with something else than a session
 */
export async function MediaFetch(input: MediaFetchInput): Promise<'settled' | 'stopped'> {
  let told = 0;
  setHandler(filesExpected, () => {
    told += 1;
  });
  // Started by hand with something else.
  if (typeof input?.sessionId !== 'string') return 'stopped';
  const { sessionId } = input;
  for (let rounds = 0; ; rounds += 1) {
    // The next run begins with a look, so that no word is lost.
    if (rounds >= ROUNDS_PER_RUN || workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof MediaFetch>({ sessionId });
    }
    const seen = told;
    const result = await untilReadable(() =>
      fetchSessionFiles.executeWithOptions({ summary: 'Fetch files that are due' }, [{ sessionId }]),
    );
    if (result.ended) {
      if (told === seen) return 'settled';
    } else if (result.retryInMs > 0) {
      setCurrentDetails(`Next attempt in ${Math.round(result.retryInMs / 1000)} s`);
      await condition(() => told > seen, result.retryInMs, { summary: 'until a file is due' });
    }
  }
}
