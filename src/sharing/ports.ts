import type { CheckCategory, SessionKind } from '../domain/decision-categories.ts';
import type { EntityComment, EntityState } from '../domain/entity.ts';
import type { CheckParts } from '../domain/decision-parts.ts';
import type { Actor, EventType } from '../domain/events.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { RemoteFile } from '../domain/media-references.ts';
import type { Acceptance, ClosedEnding, Ending, OnboardingStatus, Step, VendorDataRule } from '../domain/onboarding.ts';
import type { ImportFailure, ImportFormat, ImportProgress, ImportType } from '../domain/session-import.ts';
import type { SessionStatus } from '../domain/session-status.ts';
import type { SignalName } from '../domain/temporal-names.ts';

export type Environment = 'sandbox' | 'live';

/** How a session came to be: by an API call, by a hosted flow, or as a record of elsewhere. */
export type SessionType = 'API' | 'HOSTED' | 'MIGRATED';

/** What sessions are found by without being readable: keyed hashes of exact values, different in every application. */
export interface BlindIndex {
  /** The stored form of a value in an application (16 bytes); the value is normalised first. */
  term(applicationId: string, field: SearchField, value: string): Buffer;
}
export type SearchField = 'name' | 'email' | 'document_number';

/** The one way in which payloads reach the database and come back (`design.md`, "Data"). */
export interface PayloadSealer {
  sealPayload(context: SealContext, value: JsonValue): Buffer;
  openPayload(context: SealContext, sealed: Buffer): JsonValue;
}

/** What a sealed payload is bound to. A clone copies sealed bytes to the same category and position. */
export interface SealContext {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly category: string;
  readonly position: number;
}

/** Everything that decides about one token, read after the row locks, by the database's clock. */
export interface ShareFacts {
  readonly tokenId: string;
  /** `handoff_now()` of the read, ISO 8601. */
  readonly now: string;
  readonly token: {
    readonly sessionId: string;
    readonly sessionKind: SessionKind;
    readonly issuerId: string;
    readonly partnerId: string;
    readonly environment: Environment;
    readonly kid: string;
    /** Unix seconds. */
    readonly issuedAt: number;
    /** Unix seconds. */
    readonly expiresAt: number;
    readonly expired: boolean;
    /** At least 1; meaningless when expired. */
    readonly remainingMs: number;
    readonly closedAs: ClosedEnding | null;
    readonly closedReason: string | null;
  } | null;
  readonly onboarding: {
    readonly sessionId: string;
    readonly sessionKind: SessionKind;
    readonly issuerId: string;
    readonly partnerId: string;
    readonly environment: Environment;
    readonly ttlSeconds: number;
    readonly status: OnboardingStatus;
    readonly reason: string | null;
    readonly acceptance: Acceptance | null;
    readonly ended: boolean;
  } | null;
  /** The partner's session that this token made. */
  readonly redeemedSessionId: string | null;
  readonly acknowledgement: Acknowledgement | null;
  /** Whether `share.received` was ever made for this token. */
  readonly sent: boolean;
  /** Whether a destination ever answered `share.received` with 2xx. */
  readonly answered: boolean;
}

/** An accepted acknowledgement that no import has spent yet: the partner's choices. */
export interface Acknowledgement {
  readonly acknowledgementId: string;
  readonly choice: ImportChoice;
  readonly bodySha256: Buffer;
}

/** What an importer chooses; an absent member follows the connection's rule or the default. */
export interface ImportChoice {
  /** Any text: one that is no workflow of the importer's is `workflow_not_found`. */
  readonly workflowId?: string;
  readonly vendorData?: string | null;
  readonly trustReview?: boolean;
}

/** What a mint is judged by. */
export interface MintFacts {
  /** Unix seconds, whole, by the database's clock. */
  readonly nowSeconds: number;
  /** The key that new tokens of a run are signed with, as the servers registered it. */
  readonly activeKid: string | null;
  readonly session: {
    readonly kind: SessionKind;
    readonly status: SessionStatus;
    readonly environment: Environment;
  } | null;
  readonly issuerDeleted: boolean;
  readonly partner: { readonly environment: Environment; readonly deleted: boolean } | null;
  readonly connection: {
    readonly active: boolean;
    readonly suspended: boolean;
    readonly acceptance: Acceptance;
  } | null;
}

/** What an import is judged by, with the source and its people locked against deletion and change. */
export interface ImportFacts {
  readonly source: SessionRow | null;
  /** Finished sessions of the people whom a business's checks name; each once. */
  readonly people: readonly SessionRow[];
  readonly issuer: { readonly deleted: boolean };
  readonly partner: { readonly environment: Environment; readonly deleted: boolean };
  readonly connection: ConnectionTerms | null;
  /** A living import of this source in this application, made by any token. */
  readonly livingImport: { readonly sessionId: string } | null;
  /** The workflow that the choice names, when the importing application has published it. */
  readonly chosenWorkflow: (WorkflowVersion & { readonly kind: SessionKind }) | null;
  /** Default workflow of each kind in the importing application: the active connection's, else the application's. */
  readonly defaults: Readonly<Record<SessionKind, WorkflowVersion | null>>;
}

/** A published version of a verification workflow, by the workflow's own id. */
export interface WorkflowVersion {
  readonly workflowId: string;
  readonly version: number;
}

/** What the partner set on a connection; only an active one counts. */
export interface ConnectionTerms {
  readonly active: boolean;
  readonly suspended: boolean;
  readonly trustReview: boolean;
  readonly vendorDataRule: VendorDataRule;
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

/** A file of a session. Its payload names it by `mediaId`; the other members are null while it is with its source still. */
export interface SessionFile {
  /** UUID; a clone's file has the same. */
  readonly mediaId: string;
  readonly objectKey: string | null;
  readonly contentType: string | null;
  readonly byteLength: number | null;
}

/** Takes inline files out of checks, and stores them. */
export interface FileTaker {
  /** For each document's checks: the same without their files, or what is wrong with one of them. */
  takeFiles(
    documents: readonly (readonly CheckParts[])[],
  ): Promise<
    readonly (
      | { readonly checks: CheckParts[]; readonly files: readonly SessionFile[] }
      | { readonly problem: string }
    )[]
  >;
}

/** The files of a session that can be read, for links to them. */
export interface ReadableMedia {
  readonly mediaIds: readonly string[];
  /** `handoff_now()` of the read, Unix seconds. */
  readonly nowSeconds: number;
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

/** What a session holds, sealed: everything but its row and its files. */
export type SealedContent = Omit<StoredDecision, 'session' | 'media'>;

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

/** An event to be written, once per `dedupeKey`, with the deliveries it wants. */
export interface NewEvent {
  readonly type: EventType;
  /** The application that is told. */
  readonly applicationId: string;
  readonly tokenId: string | null;
  readonly sessionId: string | null;
  readonly dedupeKey: string;
  /** Body of the webhook without `event_id`, `timestamp` and, for `share.received`, the token. */
  readonly body: JsonObject;
}

export interface SessionStore {
  mintFacts(sessionId: string, issuerId: string, partnerId: string): Promise<MintFacts>;
  importFacts(share: NonNullable<ShareFacts['token']>, chosenWorkflowId: string | undefined): Promise<ImportFacts>;
  /**
   * Copies the checks, files and person links of every source; returns the main clone's checks and links, and of its
   * people what they are searched by.
   */
  cloneChecks(order: CloneOrder): Promise<{
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
  /** Writes a new session with its content and what it is found by; its number is taken last. */
  insertContent(session: SessionRow, content: SealedContent, searchTerms: readonly Buffer[]): void;
  /** The same for many sessions of one application, in as few statements. */
  insertContents(applicationId: string, sessions: readonly NewSession[]): void;
  /** Gives stored files to a session; those without an object are with their source still. */
  insertMedia(session: { sessionId: string; applicationId: string }, files: readonly SessionFile[]): void;
  /** Takes files from a session. */
  deleteMedia(session: { sessionId: string; applicationId: string }, mediaIds: readonly string[]): void;
  /**
   * Locks a session against being imported meanwhile, and reads one item of it. Null when the application has no such
   * session; `payload` is null when the session has no such item.
   */
  lockCheck(
    session: { sessionId: string; applicationId: string },
    check: { category: CheckCategory; position: number },
  ): Promise<{ readonly payload: Buffer | null } | null>;
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

/** A file of sessions that was accepted. */
export interface NewImport {
  readonly importId: string;
  readonly applicationId: string;
  readonly environment: Environment;
  readonly importType: ImportType;
  readonly provider: string;
  readonly workflow: WorkflowVersion;
  readonly fileFormat: ImportFormat;
  readonly sourceFilename: Buffer | null;
  readonly totalRows: number;
  readonly totalBytes: number;
  /** Id of the API key. */
  readonly createdBy: string;
  /** Each a sealed `FilePart`, in the file's order. */
  readonly parts: readonly Buffer[];
}

/** What a part is taken in by. */
export interface ImportJob {
  readonly applicationId: string;
  readonly environment: Environment;
  readonly importType: ImportType;
  /** That its sessions belong to. */
  readonly workflow: WorkflowVersion;
  readonly progress: ImportProgress;
}

/** What a part came to. */
export interface PartOutcome {
  readonly created: number;
  readonly skipped: number;
  /** Of the files that its sessions were given. */
  readonly mediaBytes: number;
  readonly errors: readonly { readonly row: number; readonly payload: Buffer }[];
  /** Row number of its last row. */
  readonly lastRow: number;
}

export interface ImportStore {
  insert(job: NewImport): void;
  /** How an import stands now; whoever goes by it looks again under the lock. */
  look(importId: string): Promise<ImportJob | null>;
  /** Locks the row of an import, of this application if one is named: whoever changes the import does so first. */
  lock(importId: string, applicationId?: string): Promise<ImportJob | null>;
  /** A part, still sealed; `null` when it was taken in. */
  readPart(importId: string, position: number): Promise<Buffer | null>;
  /** Counts a part in and takes its bytes away; the last one completes the import. Of a locked import only. */
  finishPart(importId: string, applicationId: string, position: number, outcome: PartOutcome): Promise<ImportProgress>;
  /** Ends an open import that is locked, and takes the rest of its file away. */
  end(importId: string, applicationId: string, as: 'failed' | 'cancelled', why: ImportFailure): Promise<ImportProgress>;
}

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
  expectFiles(session: SessionRow, files: readonly RemoteFile[]): void;
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
  readonly word: StoredWord | null;
  /** Positions of the reviews that were given here. */
  readonly ownReviews: readonly number[];
}

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

export interface ShareStore {
  /** Keeps applications from being deleted until the commit. Before any row lock: a deletion locks in that order. */
  holdApplications(applicationIds: readonly string[]): void;
  /** The same for both sides of an onboarding. */
  holdSidesOf(tokenId: string): void;
  /** Locks the onboarding row, then the token's, then reads. `null` when neither exists. */
  lock(tokenId: string): Promise<ShareFacts | null>;
  /** Reads without a lock. */
  look(tokenId: string): Promise<ShareFacts | null>;
  insertToken(token: {
    tokenId: string;
    sessionId: string;
    sessionKind: SessionKind;
    issuerId: string;
    partnerId: string;
    environment: Environment;
    kid: string;
    issuedAt: number;
    expiresAt: number;
  }): void;
  closeToken(tokenId: string, as: ClosedEnding, reason: string | null): void;
  /** The once-only insert. Resolves to false when the token or the pair is taken. */
  insertRedemption(redemption: {
    tokenId: string;
    sourceSessionId: string;
    issuerId: string;
    partnerId: string;
    sessionId: string;
    acknowledgementId: string | null;
    trustReview: boolean;
  }): Promise<boolean>;
}

export interface OnboardingStore {
  insert(onboarding: {
    tokenId: string;
    sessionId: string;
    sessionKind: SessionKind;
    issuerId: string;
    partnerId: string;
    ttlSeconds: number;
  }): void;
  /** Locks the row: everything that writes a step, an acknowledgement or a delivery of it does so first, or deadlocks. */
  lock(tokenId: string): void;
  /** Moves the status forward, never backwards and never past an ending. */
  advance(tokenId: string, status: OnboardingStatus): void;
  setAcceptance(tokenId: string, acceptance: Acceptance): void;
  end(tokenId: string, status: Ending, reason: string | null, importedSessionId: string | null): void;
  /** Begins a step, or begins it again with a higher attempt number. */
  beginStep(tokenId: string, step: Step, attempts: number): void;
  /** Has a step that ended go on. */
  reopenStep(tokenId: string, step: Step): void;
  /** Ends a step with its result; begins it at the same instant when it never began. */
  endStep(tokenId: string, step: Step, result: string, attempts?: number): void;
  insertAcknowledgement(row: {
    acknowledgementId: string;
    tokenId: string;
    partnerId: string;
    accept: boolean;
    choice: ImportChoice;
    reason: string | null;
    bodySha256: Buffer;
    state: 'unspent' | 'refused';
  }): void;
  /** Takes the unspent acknowledgement out of play. */
  settleAcknowledgement(
    tokenId: string,
    state: 'spent' | 'redeemed' | 'refused' | 'withdrawn',
    why?: { code: string; field: string | null },
  ): void;
}

export interface EventStore {
  /** Writes events with their payloads and a dispatch wish for each. */
  insert(events: readonly NewEvent[], actor: Actor): void;
}

/** One open transaction, as the verbs see it. */
export interface HandoffTransaction {
  readonly sessions: SessionStore;
  readonly shares: ShareStore;
  readonly onboardings: OnboardingStore;
  readonly imports: ImportStore;
  readonly events: EventStore;
  readonly sealer: PayloadSealer;
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

/** Which user or business: the one with this `vendor_data`, or with this id when it has none. */
export interface EntityKey {
  readonly applicationId: string;
  readonly kind: SessionKind;
  /** `vendor_data`; of an entity without any, its id. */
  readonly name: string;
}

export interface EntityStore {
  /** Locks an entity against other changes and against imports; null when it is not there. */
  lock(key: EntityKey): Promise<(EntityState & { readonly entityId: string }) | null>;
  /** Writes a locked entity and the comments on its change. */
  update(applicationId: string, entityId: string, after: EntityState, comments: readonly EntityComment[]): void;
}

/** Which side of a connection somebody is. */
export type ConnectionSide = 'issuer' | 'partner';

/** What one side signed under the data-sharing agreement; dates are `YYYY-MM-DD`. */
export interface AgreementSignature {
  readonly reference: string;
  /** SHA-256 of the document, 64 hexadecimal digits. */
  readonly documentSha256: string;
  readonly legalBasis: string;
  readonly purpose: string;
  readonly signer: string;
  readonly signedOn: string;
  readonly validUntil: string | null;
}

/** What the partner alone sets on a connection; an absent member stays as it is. */
export interface PartnerTerms {
  readonly status?: 'active' | undefined;
  readonly acceptance?: Acceptance | undefined;
  readonly trustReview?: boolean | undefined;
  readonly defaultWorkflows?: Readonly<Partial<Record<SessionKind, string | null | undefined>>> | undefined;
  readonly vendorDataRule?: VendorDataRule | undefined;
}

export interface ApplicationStore {
  /** Marks an application as deleted, once nothing is being minted by or for it; false when there is none to delete. */
  markDeleted(applicationId: string, organizationId: string): Promise<boolean>;
  /** Token ids of its open onboardings and of its tokens that could still be redeemed, as issuer or partner, in order. */
  openShares(applicationId: string): Promise<string[]>;
}

export interface ConnectionStore {
  /** Both applications, as far as they exist. */
  applications(
    issuerId: string,
    partnerId: string,
  ): Promise<Readonly<Record<ConnectionSide, { readonly environment: Environment; readonly deleted: boolean } | null>>>;
  /** Resolves to whether it was written: one connection for each issuer and partner. */
  insert(row: {
    connectionId: string;
    issuerId: string;
    partnerId: string;
    environment: Environment;
  }): Promise<boolean>;
  /** Locks a connection; null when there is none. */
  lock(connectionId: string): Promise<{ readonly issuerId: string; readonly partnerId: string } | null>;
  /** An application's own published verification workflow that this id names, itself or one of its versions. */
  findWorkflow(
    applicationId: string,
    id: string,
  ): Promise<{ readonly workflowId: string; readonly kind: SessionKind } | null>;
  setTerms(connectionId: string, terms: PartnerTerms): void;
  /** Suspends or lifts one side's own suspension; a suspension in force keeps its time. */
  setSuspended(connectionId: string, side: ConnectionSide, suspended: boolean): void;
  addAgreement(agreementId: string, connectionId: string, applicationId: string, signature: AgreementSignature): void;
}
