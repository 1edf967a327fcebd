import type { SignalName } from '../../domain/temporal-names.ts';
import type { EventStore } from './events.ts';
import type { ImportStore } from './imports.ts';
import type { OnboardingStore } from './onboardings.ts';
import type { SessionStore } from './sessions.ts';
import type { ShareStore } from './shares.ts';
import type { BlindIndex, ContentSealer } from './storage.ts';

/** One open transaction, as the verbs see it. */
export interface HandoffTransaction {
  readonly sessions: SessionStore;
  readonly shares: ShareStore;
  readonly onboardings: OnboardingStore;
  readonly imports: ImportStore;
  readonly events: EventStore;
  readonly sealer: ContentSealer;
  readonly blindIndex: BlindIndex;
  /** A new time-ordered id (UUID version 7). */
  newId(): string;
  /** Asks for a run's start. */
  wishStart(tokenId: string): void;
  /** Asks for a signal to a run; `rowId` is the row that says what happened. */
  wishSignal(tokenId: string, signal: SignalName, rowId: string): void;
  /** Asks for the run that takes a file of sessions in. */
  wishImport(importId: string): void;
  /** Asks for the fetching of a session's files from their source. */
  wishMediaFetch(sessionId: string): void;
}
