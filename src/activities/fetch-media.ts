import { cancellationSignal, heartbeat } from '@temporalio/activity';
import { waitBeforeNextFetch, type FetchFailure } from '../domain/media-fetch.ts';
import { sniffFileType } from '../media/file-types.ts';
import type { FileOfSession } from '../media/store-files.ts';
import type { SessionFile } from '../sharing/ports.ts';
import type { GetOutcome, GuardedGetter } from '../webhooks/http-get.ts';
import type { FetchResult, MediaActivities } from '../workflows/activity-types.ts';
import type { ClaimedFile, MediaFetchLedger } from './ports.ts';

/** What the fetching of files needs. */
export interface MediaFetchDependencies {
  readonly ledger: MediaFetchLedger;
  readonly getter: GuardedGetter;
  /** Stores files by their content. */
  readonly store: (files: readonly FileOfSession[]) => Promise<SessionFile[]>;
}

/** Files of one call: with all of them at their time limit it still ends in time. */
const FILES_A_CALL = 10;

/** Sessions whose files a worker fetches at once: each holds a whole file in memory, and its slots are for webhooks too. */
const SESSIONS_AT_ONCE = 20;

/** Milliseconds until a session is looked at again that came when a worker had enough of them. */
const BUSY_MS = 2_000;

/** Fetches files one by one: each is large, and each result stands by itself. */
export function fetchMediaActivity(deps: MediaFetchDependencies): MediaActivities {
  let underWay = 0;
  return {
    fetchSessionFiles: async ({ sessionId }) => {
      if (underWay >= SESSIONS_AT_ONCE) return { ended: false, retryInMs: BUSY_MS * (1 + Math.random()) };
      underWay += 1;
      try {
        return await fetchFiles(deps, sessionId);
      } finally {
        underWay -= 1;
      }
    },
  };
}

async function fetchFiles(deps: MediaFetchDependencies, sessionId: string): Promise<FetchResult> {
  await deps.ledger.forgetUnwanted(sessionId);
  for (let files = 0; files < FILES_A_CALL; files += 1) {
    heartbeat();
    const file = await deps.ledger.claim(sessionId);
    if (file === null) {
      const retryInMs = await deps.ledger.nextDueInMs(sessionId);
      return retryInMs === null ? { ended: true } : { ended: false, retryInMs };
    }
    await fetchFile(deps, file);
  }
  return { ended: false, retryInMs: 0 };
}

async function fetchFile({ ledger, getter, store }: MediaFetchDependencies, file: ClaimedFile): Promise<void> {
  const { mediaId, session, attempt, url } = file;
  const outcome = await getter.get(url, cancellationSignal());
  const contentType = outcome.kind === 'file' ? sniffFileType(outcome.bytes) : null;
  if (outcome.kind === 'file' && contentType !== null) {
    const [stored] = await store([{ session, mediaId, contentType, bytes: outcome.bytes }]);
    if (stored === undefined) throw new Error('a file that was stored is told of');
    await ledger.fetched(stored);
    return;
  }
  const reason = reasonOf(outcome);
  await ledger.missed(mediaId, reason, waitBeforeNextFetch(reason, attempt));
}

/** Answers of 4xx that mean "later". */
const LATER = new Set([408, 425, 429]);

function reasonOf(outcome: GetOutcome): FetchFailure {
  switch (outcome.kind) {
    case 'file':
      return 'unknown_type';
    case 'encoded':
      return 'encoded';
    case 'refused':
      if (outcome.status >= 500 || LATER.has(outcome.status)) return 'source_unavailable';
      return outcome.status >= 300 && outcome.status < 400 ? 'redirected' : 'link_refused';
    case 'failure':
      return outcome.code === 'response_too_large' ? 'too_large' : outcome.code;
  }
}
