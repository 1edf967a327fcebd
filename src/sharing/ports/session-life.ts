import type { SessionKind } from '../../domain/decision-categories.ts';
import type { NewSession, SessionRow, WorkflowVersion } from './sessions.ts';
import type { DataKey, Environment } from './storage.ts';

/** What a new session is judged by. */
export interface CreationFacts {
  /** ISO 8601, as `expiresAt` is. */
  readonly now: string;
  readonly environment: Environment;
  readonly deleted: boolean;
  /** The published verification workflow that was named, with the names of its features; null when there is none. */
  readonly workflow:
    | (WorkflowVersion & {
        readonly kind: SessionKind;
        readonly features: readonly string[];
        /** When a session that begins now ends. */
        readonly expiresAt: string;
      })
    | null;
  /** The application's default verification workflow for people. */
  readonly peopleWorkflow: WorkflowVersion | null;
  /** The customer's unfinished hosted session on this version of the workflow, locked. */
  readonly unfinished: LockedSession | null;
}

/** A session that is locked against imports, changes and deletion. */
export interface LockedSession {
  readonly session: SessionRow;
  /** What its content is sealed with. */
  readonly key: DataKey;
  /** `handoff_now()` of the read, ISO 8601. */
  readonly now: string;
  /** Position of the next review. */
  readonly nextReview: number;
  /** The owner's sealed settings; null in an import. */
  readonly settings: Buffer | null;
}

/** What a session's life needs besides {@link SessionStore}: its creation, changes of its status, reviews, the end of many. */
export interface SessionLifeStore {
  /** Creations for one customer (`vendorData`) wait for each other here. */
  creationFacts(applicationId: string, workflowId: string, vendorData: string | null): Promise<CreationFacts>;
  /** Lets a hosted flow's token find a session that was written. */
  setHostedToken(session: SessionRow, sha256: Buffer): void;
  /** Puts other settings, sealed, in the place of a session's own. */
  setSettings(session: SessionRow, payload: Buffer): void;
  lock(applicationId: string, sessionId: string): Promise<LockedSession | null>;
  /** Writes the status of a locked session. */
  setStatus(session: SessionRow): void;
  /** Writes a review of a locked session; each part is sealed. `home` is null when nothing of it stays home. */
  insertReview(
    session: SessionRow,
    position: number,
    parts: { readonly shared: Buffer; readonly home: Buffer | null; readonly activity: Buffer },
  ): void;
  /** Writes the content of a locked session that has none, with its status; settings and reviews stay. */
  fill(session: NewSession): void;
  /** Locks user sessions by their numbers, or the lowest numbers up to one; at most `limit`, in id order. */
  lockUserSessions(
    applicationId: string,
    which: { readonly numbers: readonly number[] } | { readonly upTo: number },
    limit: number,
  ): Promise<readonly { readonly sessionId: string; readonly number: number }[]>;
  /** The highest number of an application's user sessions; 0 when there is none. */
  lastUserNumber(applicationId: string): Promise<number>;
}
