import type { RemoteFile } from '../../domain/media-references.ts';
import type { KeyedSession } from './files.ts';
import type { NewSession, SessionRow } from './sessions.ts';
import type { DataKey } from './storage.ts';

/** What a source's later words about a session need, besides {@link SessionStore}. */
export interface IngestStore {
  /** Locks a session against import, change and deletion; null when it is gone. */
  lock(applicationId: string, sessionId: string): Promise<IngestedSession | null>;
  /** Puts content in the place of a locked session's own, with all that is read from it; number, status and own reviews stay. */
  replaceContent(replacement: NewSession): void;
  /** Sets the status, and notes whose word the session has. */
  note(session: SessionRow, word: SourceWord): void;
  /** Notes a word of the stored second that changed nothing, so that it never will. */
  noteStale(session: SessionRow, word: SourceWord): void;
  /** Notes files that are with their source, to be fetched from there. */
  expectFiles(session: KeyedSession, files: readonly RemoteFile[]): void;
}

/** A source's word about a session: its id where it has one, and in Unix seconds when it was made and when sent. */
export interface SourceWord {
  readonly eventId: string | null;
  readonly madeAt: number;
  readonly sentAt: number;
}

/** The word that a session's content is of, and the last events that its source made in the same second. */
export interface StoredWord extends Pick<SourceWord, 'madeAt' | 'sentAt'> {
  readonly eventIds: readonly string[];
}

/** A session, and whose word its content is: null when no source told. */
export interface IngestedSession {
  readonly session: SessionRow;
  /** What its content is sealed with, for life. */
  readonly key: DataKey;
  readonly word: StoredWord | null;
  /** Positions of the reviews that were given here. */
  readonly ownReviews: readonly number[];
}
