import type { FetchFailure } from '../domain/media-fetch.ts';
import type { DecisionStyle } from '../sharing/decision.ts';
import type { HandoffTransaction, KeyedSession, SessionFile } from '../sharing/ports.ts';

/** What the database activities need: transactions of a run, which crosses both its applications. */
export interface OnboardingDependencies {
  /** Runs `work` in one transaction of an onboarding. */
  onboardingTransaction<T>(work: (tx: HandoffTransaction) => Promise<T>): Promise<T>;
  /** The same for its import, which alone may see the source. */
  redeemTransaction<T>(work: (tx: HandoffTransaction) => Promise<T>): Promise<T>;
  /** Makes the deliveries of this token's events due, ends the notify step, and wakes the sender. */
  dispatchEvents(tokenId: string, attempt: number): Promise<void>;
  /** Told of a failure that is no refusal: Temporal keeps its kind alone. */
  readonly onFault: (activity: string, error: unknown) => void;
  readonly style: DecisionStyle;
}

/** A file that this process holds for one attempt to fetch it. */
export interface ClaimedFile {
  readonly mediaId: string;
  /** One that waits for it: the session that was told of it, or when that one is gone a clone. */
  readonly session: KeyedSession;
  readonly url: string;
  /** 1 for the first. */
  readonly attempt: number;
}

/** What the fetching of files needs of the database. */
export interface MediaFetchLedger {
  /** Forgets files of a session that nobody waits for any more. */
  forgetUnwanted(sessionId: string): Promise<void>;
  /** Takes the next file of a session that is due, with a lease; null when none is, or whoever holds it is busy. */
  claim(sessionId: string): Promise<ClaimedFile | null>;
  /** Has a stored file stand wherever a session waits for it, clones included. */
  fetched(file: SessionFile): Promise<void>;
  /** Counts an attempt that failed, with the time until the next one in milliseconds; null gives the file up. */
  missed(mediaId: string, reason: FetchFailure, retryInMs: number | null): Promise<void>;
  /** Milliseconds until a file of the session may be claimed, at least a second; null when nothing is left to fetch. */
  nextDueInMs(sessionId: string): Promise<number | null>;
}
