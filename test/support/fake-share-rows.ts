import { randomUUID } from 'node:crypto';
import {
  ONBOARDING_STATUSES,
  type Acceptance,
  type ClosedEnding,
  type OnboardingStatus,
} from '../../src/domain/onboarding.ts';
import type { SessionStatus } from '../../src/domain/session-status.ts';
import type { SignalName } from '../../src/domain/temporal-names.ts';
import type {
  EventStore,
  HandoffTransaction,
  ImportChoice,
  OnboardingStore,
  SessionRow,
  SessionStore,
  ShareFacts,
  ShareStore,
} from '../../src/sharing/ports.ts';
import type { DeliveryState } from '../../src/webhooks/ports.ts';
import { testBlindIndex, testSealer } from './app-parts.ts';

/** What surrounds one share and may change at any moment of a test; times are of no interest to it. */
export interface ShareWorld {
  /** `null`: deleted. */
  sessionStatus: SessionStatus | null;
  acceptance: Acceptance;
  suspended: boolean;
  /** The partner's default verification workflow; without one an import that names none is refused, and can be mended. */
  defaultWorkflow: string | null;
  /** Another token has imported the session already. */
  importedByAnother: boolean;
}

/** The stored rows of one share: what a transaction reads, and takes back when it fails. */
export interface ShareRows {
  onboarding: {
    ttlSeconds: number;
    status: OnboardingStatus;
    reason: string | null;
    acceptance: Acceptance | null;
    ended: boolean;
    importedSessionId: string | null;
  } | null;
  token: {
    kid: string;
    issuedAt: number;
    expiresAt: number;
    closedAs: ClosedEnding | null;
    closedReason: string | null;
  } | null;
  acknowledgements: { id: string; state: string; choice: ImportChoice; bodySha256: Uint8Array }[];
  redeemedSessionId: string | null;
  /** Type by once-only key. */
  events: Map<string, string>;
  deliveries: { id: string; event: string; destination: number; state: DeliveryState | 'new'; attempts: number }[];
}

/** A signal that a transaction asks for. */
export interface SignalWish {
  readonly signal: SignalName;
  readonly rowId: string;
}

export const KID = 'test';
export const ISSUER = '0190b0de-0000-7000-8000-00000000000a';
export const PARTNER = '0190b0de-0000-7000-8000-00000000000b';
const SOURCE_SESSION = '0190b0de-0000-7000-8000-0000000000c1';
const OTHER_IMPORT = '0190b0de-0000-7000-8000-0000000000c2';
const ABOUT = {
  sessionId: SOURCE_SESSION,
  sessionKind: 'user',
  issuerId: ISSUER,
  partnerId: PARTNER,
  environment: 'sandbox',
} as const;

/** Rows of an onboarding that waits for its mint. */
export function newShareRows(ttlSeconds: number): ShareRows {
  return {
    onboarding: {
      ttlSeconds,
      status: 'minting',
      reason: null,
      acceptance: null,
      ended: false,
      importedSessionId: null,
    },
    token: null,
    acknowledgements: [],
    redeemedSessionId: null,
    events: new Map(),
    deliveries: [],
  };
}

/** What `src/postgres` offers the verbs, over {@link ShareRows}: storage only, no rule of its own. */
export function shareTransaction(
  tokenId: string,
  rows: ShareRows,
  world: ShareWorld,
  clock: () => Promise<number>,
  signals: SignalWish[],
): HandoffTransaction {
  const look = async (id: string) => (id === tokenId ? factsOf(tokenId, rows, await clock()) : null);
  return {
    shares: shareStore(rows, look),
    sessions: sessionStore(world, clock),
    onboardings: onboardingStore(rows),
    // No share reads a file.
    imports: {} as HandoffTransaction['imports'],
    events: eventStore(rows),
    sealer: testSealer,
    blindIndex: testBlindIndex,
    wishImport: () => undefined,
    wishMediaFetch: () => undefined,
    newId: () => randomUUID(),
    wishStart: () => undefined,
    wishSignal: (_tokenId, signal, rowId) => void signals.push({ signal, rowId }),
  };
}

function factsOf(tokenId: string, rows: ShareRows, now: number): ShareFacts | null {
  const { token, onboarding } = rows;
  if (token === null && onboarding === null) return null;
  const unspent = rows.acknowledgements.find(({ state }) => state === 'unspent');
  return {
    tokenId,
    now: new Date(now).toISOString(),
    token: token && {
      ...ABOUT,
      ...token,
      keyRemoved: false,
      expired: now >= token.expiresAt * 1000,
      remainingMs: Math.max(1, Math.ceil(token.expiresAt * 1000 - now)),
    },
    onboarding: onboarding && { ...ABOUT, ...onboarding },
    redeemedSessionId: rows.redeemedSessionId,
    acknowledgement:
      unspent === undefined
        ? null
        : {
            acknowledgementId: unspent.id,
            choice: unspent.choice,
            bodySha256: Buffer.from(unspent.bodySha256),
          },
    sent: [...rows.events.values()].includes('share.received'),
    answered: rows.deliveries.some(({ state }) => state === 'delivered'),
  };
}

function shareStore(rows: ShareRows, look: ShareStore['look']): ShareStore {
  return {
    // Nobody deletes an application here.
    holdApplications: () => undefined,
    holdSidesOf: () => undefined,
    actForPartnerOf: () => undefined,
    lock: look,
    look,
    insertToken: ({ kid, issuedAt, expiresAt }) => {
      if (rows.token !== null) throw new Error('a second token row');
      rows.token = { kid, issuedAt, expiresAt, closedAs: null, closedReason: null };
    },
    // Nothing is sealed here.
    insertKeys: () => undefined,
    closeToken: (_tokenId, closedAs, closedReason) => {
      if (rows.token?.closedAs === null) Object.assign(rows.token, { closedAs, closedReason });
    },
    insertRedemption: async ({ sessionId }) => {
      if (rows.redeemedSessionId !== null) return false;
      rows.redeemedSessionId = sessionId;
      return true;
    },
  };
}

/** The part that an onboarding uses. */
type OnboardingSessions = Pick<
  SessionStore,
  | 'mintFacts'
  | 'keysToShare'
  | 'importFacts'
  | 'cloneChecks'
  | 'touchEntities'
  | 'businessIdOf'
  | 'takeNumbers'
  | 'insertClones'
  | 'insertSearchTerms'
  | 'anyBlocked'
>;

function sessionStore(world: ShareWorld, clock: () => Promise<number>): SessionStore {
  const store: OnboardingSessions = {
    mintFacts: async () => ({
      nowSeconds: Math.floor((await clock()) / 1000),
      activeKid: KID,
      session:
        world.sessionStatus === null ? null : { kind: 'user', status: world.sessionStatus, environment: 'sandbox' },
      issuerDeleted: false,
      partner: { environment: 'sandbox', deleted: false },
      connection: { active: true, suspended: world.suspended, acceptance: world.acceptance },
    }),
    keysToShare: async (sessionId) => [{ sessionId, key: testSealer.newDataKey({ applicationId: ISSUER, sessionId }) }],
    importFacts: async (_token, chosenWorkflowId) => ({
      source: world.sessionStatus === null ? null : sourceRow(world.sessionStatus),
      people: [],
      issuer: { deleted: false },
      partner: { environment: 'sandbox', deleted: false },
      connection: { active: true, suspended: world.suspended, trustReview: false, vendorDataRule: 'same' },
      livingImport: world.importedByAnother ? { sessionId: OTHER_IMPORT, tokenId: randomUUID() } : null,
      chosenWorkflow:
        chosenWorkflowId === undefined ? null : { workflowId: chosenWorkflowId, version: 1, kind: 'user' },
      defaults: {
        user: world.defaultWorkflow === null ? null : { workflowId: world.defaultWorkflow, version: 1 },
        business: null,
      },
    }),
    cloneChecks: async () => ({ complete: true, checks: [], people: [], mediaIds: [], searchable: [] }),
    touchEntities: async () => false,
    businessIdOf: async () => null,
    takeNumbers: async () => ({ user: [1], business: [] }),
    insertClones: () => undefined,
    insertSearchTerms: () => undefined,
    anyBlocked: async () => false,
  };
  return store as SessionStore;
}

function sourceRow(status: SessionStatus): SessionRow {
  return {
    sessionId: SOURCE_SESSION,
    applicationId: ISSUER,
    kind: 'user',
    number: 7,
    status,
    environment: 'sandbox',
    workflowId: null,
    vendorData: null,
    externalId: null,
    features: [],
    nfcSkipReason: null,
    documentExpiresOn: null,
    sharedFromSession: null,
    sessionType: 'MIGRATED',
    workflowVersion: 1,
    firstStatus: 'Approved',
    country: null,
    documentType: null,
    warnings: [],
    parentImport: null,
    createdAt: '2026-11-23T00:00:00.000Z',
    expiresAt: null,
  };
}

function onboardingStore(rows: ShareRows): OnboardingStore {
  const open = () => (rows.onboarding?.ended === false ? rows.onboarding : null);
  return {
    insert: () => undefined,
    lock: () => undefined,
    reopenStep: () => undefined,
    advance: (_tokenId, status) => {
      const row = open();
      if (row !== null && ONBOARDING_STATUSES.indexOf(row.status) < ONBOARDING_STATUSES.indexOf(status)) {
        row.status = status;
      }
    },
    setAcceptance: (_tokenId, acceptance) => {
      if (rows.onboarding !== null) rows.onboarding.acceptance = acceptance;
    },
    end: (_tokenId, status, reason, importedSessionId) => {
      const row = open();
      if (row !== null) Object.assign(row, { status, reason, importedSessionId, ended: true });
      for (const delivery of rows.deliveries) {
        if (delivery.state === 'new' || delivery.state === 'retrying') delivery.state = 'stopped';
      }
    },
    beginStep: () => undefined,
    endStep: () => undefined,
    insertAcknowledgement: ({ acknowledgementId, state, choice, bodySha256 }) => {
      rows.acknowledgements.push({ id: acknowledgementId, state, choice, bodySha256 });
    },
    settleAcknowledgement: (_tokenId, state) => {
      for (const row of rows.acknowledgements) if (row.state === 'unspent') row.state = state;
    },
  };
}

function eventStore(rows: ShareRows): EventStore {
  return {
    insert: (events) => {
      for (const { dedupeKey, type } of events) if (!rows.events.has(dedupeKey)) rows.events.set(dedupeKey, type);
    },
    // What nobody is told of changes no share.
    record: () => {},
  };
}
