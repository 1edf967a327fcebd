import type { CloseRequest, MintResult, ShareAnswer } from '../domain/onboarding.ts';
import type { ImportFailure, ImportProgress } from '../domain/session-import.ts';

/** What every activity of one onboarding is given: the token id, and nothing else that identifies anybody. */
export interface TokenRef {
  /** UUID; also the run's workflow id. */
  readonly tokenId: string;
}

/**
 * Steps that are one short transaction each. They run twice without harm, and refuse with an `ApplicationFailure`
 * whose type is a code of `domain/failures.ts`.
 */
export interface OnboardingActivities {
  /** Writes the token's row. Refuses when the session cannot be shared any more. */
  mintShareToken(ref: TokenRef): Promise<MintResult>;
  /** Imports an acknowledged (or automatic) token; answers how every other token stands. Refuses by the import's rules. */
  importSharedSession(ref: TokenRef): Promise<ShareAnswer>;
  /** Makes the deliveries of what happened due and wakes the sender; never waits for a delivery. */
  notifyParties(ref: TokenRef): Promise<void>;
  /** Asks how the token stands, by the database's clock. */
  lookAtShareToken(ref: TokenRef): Promise<ShareAnswer>;
  /** Closes the token if that is still possible, and answers how it stands then. */
  closeShareToken(ref: TokenRef & { readonly request: CloseRequest }): Promise<ShareAnswer>;
}

/** Result of one delivery round: how many destinations are still to be tried again. */
export interface DeliverResult {
  readonly pending: number;
}

/** The activities with outbound network, on their own task queue. */
export interface WebhookActivities {
  /**
   * Sends `share.received` once to every destination that has not ended. Fails retryably while nobody new answered
   * and somebody is left, and with type `undeliverable` (detail: the reason) when nobody is left to try.
   */
  deliverShareToken(ref: TokenRef): Promise<DeliverResult>;
  /** One attempt of one delivery whose first attempt failed. */
  attemptDelivery(ref: { readonly deliveryId: string }): Promise<AttemptResult>;
}

/** Whether a delivery has ended, or when to try it again. */
export type AttemptResult =
  | { readonly ended: true; readonly state: string }
  | { readonly ended: false; readonly retryInMs: number };

/** Fetching files from their source: outbound network too. */
export interface MediaActivities {
  /** Fetches a session's files that are due, some of them: answers when to come again for what is left. */
  fetchSessionFiles(ref: { readonly sessionId: string }): Promise<FetchResult>;
}

/** Whether every file of a session has been fetched or given up, or when to look again. */
export type FetchResult = { readonly ended: true } | { readonly ended: false; readonly retryInMs: number };

/** The steps of an import, each with its effect in one transaction; they run twice without harm and answer how far the import has come. */
export interface SessionImportActivities {
  /** Takes one part of the file in, when it is that part's turn. */
  importPart(ref: { readonly importId: string; readonly part: number }): Promise<ImportProgress>;
  /** Ends an import that is still open. */
  endImport(ref: {
    readonly importId: string;
    readonly as: 'failed' | 'cancelled';
    readonly why: ImportFailure;
  }): Promise<ImportProgress>;
}
