import type { CheckCategory, SessionKind } from '../../domain/decision-categories.ts';
import type { SessionStatus } from '../../domain/session-status.ts';
import type { ReadableMedia, SessionFile } from './files.ts';
import type { ImportFacts, MintFacts, ShareFacts } from './shares.ts';
import type { DataKey, Environment, SessionDataKey, SessionType } from './storage.ts';

/** A published version of a verification workflow, by the workflow's own id. */
export interface WorkflowVersion {
  readonly workflowId: string;
  readonly version: number;
}

/** The stored columns of a session. */
export interface SessionRow {
  readonly sessionId: string;
  readonly applicationId: string;
  readonly kind: SessionKind;
  /** Of the application and kind; bigint in SQL, safe as a number far beyond any real count. */
  readonly number: number;
  readonly status: SessionStatus;
  readonly environment: Environment;
  readonly workflowId: string | null;
  readonly vendorData: string | null;
  readonly externalId: string | null;
  readonly features: readonly string[];
  readonly nfcSkipReason: string | null;
  /** ISO 8601 date. */
  readonly documentExpiresOn: string | null;
  readonly sharedFromSession: string | null;
  readonly parentImport: string | null;
  readonly sessionType: SessionType;
  /** Of the verification workflow that it belongs to. */
  readonly workflowVersion: number;
  /** The status that it was made with. */
  readonly firstStatus: SessionStatus;
  /** Issuing state of the identity document (alpha-3), or the registry's code of a company. */
  readonly country: string | null;
  /** Didit's code of the identity document: `P`, `ID`, `DL` … */
  readonly documentType: string | null;
  /** Risk codes of the checks' warnings, each once. */
  readonly warnings: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  readonly expiresAt: string | null;
}

/** One stored item of one array, still sealed. */
export interface SealedCheck {
  readonly category: CheckCategory;
  readonly position: number;
  readonly payload: Buffer;
}

/** Where a check names a person, and the person's session in the same application, if it is there. */
export interface PersonLink {
  readonly category: CheckCategory;
  readonly position: number;
  readonly pointer: string;
  readonly reference: string | null;
  readonly personSessionId: string | null;
}

/** Everything a decision is rendered from. */
export interface StoredDecision {
  readonly session: SessionRow;
  readonly checks: readonly SealedCheck[];
  /** The owner's own parts; none in an import. Category '' holds the settings. */
  readonly home: readonly {
    readonly category: CheckCategory | '';
    readonly position: number;
    readonly payload: Buffer;
  }[];
  readonly people: readonly PersonLink[];
  readonly media: ReadableMedia;
}

/** What a session holds, sealed: everything but its row and its files, and the key that opens it. */
export interface SealedContent extends Omit<StoredDecision, 'session' | 'media'> {
  readonly key: DataKey;
}

/** A session to be written, its content sealed. */
export interface NewSession {
  readonly session: SessionRow;
  readonly content: SealedContent;
  /** Blind-index terms that it is found by. */
  readonly searchTerms: readonly Buffer[];
}

/** A clone to be written: which session becomes which, with the importer's own columns. */
export interface CloneOrder {
  readonly tokenId: string;
  readonly partnerId: string;
  readonly sources: readonly { readonly from: SessionRow; readonly to: SessionRow }[];
}

export interface SessionStore {
  mintFacts(sessionId: string, issuerId: string, partnerId: string): Promise<MintFacts>;
  /** The data keys of what an import of this session would clone by now: its own, and of a business those of its people. */
  keysToShare(sessionId: string, issuerId: string): Promise<readonly SessionDataKey[]>;
  importFacts(share: NonNullable<ShareFacts['token']>, chosenWorkflowId: string | undefined): Promise<ImportFacts>;
  /**
   * Copies the checks, files and person links of every source, and gives each clone the key that the token holds for it;
   * returns the main clone's checks and links, and of its people what they are searched by.
   */
  cloneChecks(order: CloneOrder): Promise<{
    /** Whether the token held the keys of all sources. If not, what was copied cannot be opened. */
    complete: boolean;
    checks: SealedCheck[];
    people: PersonLink[];
    /** The main clone's files that can be read. */
    mediaIds: string[];
    searchable: readonly (SealedCheck & { readonly sessionId: string })[];
  }>;
  /**
   * Makes the entities of sessions that are about to be written, as far as they are missing, and locks them: blocking one
   * waits for this transaction, or is seen by it. Resolves to whether any of them is blocked.
   */
  touchEntities(
    applicationId: string,
    sessions: readonly Pick<SessionRow, 'kind' | 'vendorData' | 'createdAt'>[],
  ): Promise<boolean>;
  /** The entity of a business's session, by its `vendor_data`; null without one, and for a person's session. */
  businessIdOf(session: SessionRow): Promise<string | null>;
  /** Takes the next numbers of an application; the row stays locked until the commit, so take it last. */
  takeNumbers(
    applicationId: string,
    counts: Readonly<Record<SessionKind, number>>,
  ): Promise<Record<SessionKind, number[]>>;
  /** Writes the clones' session rows and their provenance over every hop. */
  insertClones(order: CloneOrder): void;
  /** Whether any of these entities exists and is blocked; makes none. */
  anyBlocked(applicationId: string, entities: readonly { kind: SessionKind; vendorData: string }[]): Promise<boolean>;
  /** Locks an external id against a second take-in, and reads what is stored under it. */
  takeInFacts(
    applicationId: string,
    externalId: string | null,
  ): Promise<{
    readonly now: string;
    readonly environment: Environment;
    readonly deleted: boolean;
    readonly stored: { readonly sessionId: string; readonly kind: SessionKind } | null;
  }>;
  /** Of which kind what is stored under external ids is, as it stands now. */
  storedKinds(applicationId: string, externalIds: readonly string[]): Promise<ReadonlyMap<string, SessionKind>>;
  /** Locks external ids against a second take-in, and reads of which kind what is stored under them is. */
  takeInManyFacts(
    applicationId: string,
    externalIds: readonly string[],
  ): Promise<{
    readonly now: string;
    readonly environment: Environment;
    readonly deleted: boolean;
    readonly stored: ReadonlyMap<string, SessionKind>;
  }>;
  /** Writes a new session with its content, its data key and what it is found by; its number is taken last. */
  insertContent(session: SessionRow, content: SealedContent, searchTerms: readonly Buffer[]): void;
  /** The same for many sessions of one application, in as few statements. */
  insertContents(applicationId: string, sessions: readonly NewSession[]): void;
  /** Gives stored files to a session; those without an object are with their source still. */
  insertMedia(session: { sessionId: string; applicationId: string }, files: readonly SessionFile[]): void;
  /** Takes files from a session. */
  deleteMedia(session: { sessionId: string; applicationId: string }, mediaIds: readonly string[]): void;
  /**
   * Locks a session against being imported meanwhile, and reads its data key and one item of it. Null when the application
   * has no such session; `payload` is null when the session has no such item.
   */
  lockCheck(
    session: { sessionId: string; applicationId: string },
    check: { category: CheckCategory; position: number },
  ): Promise<{ readonly key: DataKey; readonly payload: Buffer | null } | null>;
  /** Puts an item in the place of one that is there. */
  replaceCheck(session: { sessionId: string; applicationId: string }, check: SealedCheck): void;
  /** Writes what sessions are found by. */
  insertSearchTerms(applicationId: string, sessions: readonly { sessionId: string; terms: readonly Buffer[] }[]): void;
  /** Locks a session, and with a business import its people: the ids of all that go together. */
  lockForDeletion(
    applicationId: string,
    sessionId: string,
  ): Promise<{ readonly number: number; readonly sessionIds: readonly string[] } | null>;
  /** Deletes locked sessions, releases the pairs of those that are imports, and counts them off. */
  delete(applicationId: string, sessionIds: readonly string[]): void;
  /** The whole stored decision of an application's own session. */
  readDecision(applicationId: string, sessionId: string): Promise<StoredDecision | null>;
}
