import type { SessionKind } from '../../domain/decision-categories.ts';
import type { Acceptance, ClosedEnding, OnboardingStatus, VendorDataRule } from '../../domain/onboarding.ts';
import type { SessionStatus } from '../../domain/session-status.ts';
import type { SessionRow, WorkflowVersion } from './sessions.ts';
import type { Environment, SessionDataKey } from './storage.ts';

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
    /** The key that signed it is no more: its text is no share token any more. */
    readonly keyRemoved: boolean;
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
  /** The key that new tokens are signed with; null before a server has made one. */
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

/** What the partner set on a connection; only an active one counts. */
export interface ConnectionTerms {
  readonly active: boolean;
  readonly suspended: boolean;
  readonly trustReview: boolean;
  readonly vendorDataRule: VendorDataRule;
}

export interface ShareStore {
  /** Keeps applications from being deleted until the commit. Before any row lock: a deletion locks in that order. */
  holdApplications(applicationIds: readonly string[]): void;
  /** The same for both sides of an onboarding. */
  holdSidesOf(tokenId: string): void;
  /** Has a transaction of no tenant act for the partner of an onboarding: first in the run's import. */
  actForPartnerOf(tokenId: string): void;
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
  /**
   * Gives a token data keys that are wrapped for its partner; those that it has stay. Locks their sessions: one that is
   * being deleted leaves no key here.
   *
   * @param expiresAt the token's, Unix seconds
   */
  insertKeys(tokenId: string, expiresAt: number, keys: readonly SessionDataKey[]): void;
  /** Closes a token that is open, and takes its keys away. */
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
