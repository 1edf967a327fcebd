import type { CheckCategory } from '../domain/decision-categories.ts';
import { earliestExpiry, featuresOf } from '../domain/decision-arrays.ts';
import type { SessionHome } from '../domain/decision-document.ts';
import { takeApart } from '../domain/decision-parts.ts';
import { mediaReference, replaceMedia } from '../domain/media-references.ts';
import { simulateBusiness, simulateUser, type SimulatedItems } from '../domain/sandbox/simulate.ts';
import { facetsOf } from '../domain/session-facts.ts';
import type {
  HandoffTransaction,
  NewSession,
  SessionDataKey,
  SessionFile,
  SessionRow,
  WorkflowVersion,
} from './ports.ts';
import { searchTermsOf, sealContent } from './store-content.ts';

/**
 * A session that is to be simulated, with the drawings that were stored for it: by the `data:` URI that stands for each in
 * simulated content, a file for every place.
 */
export interface SandboxSession extends SessionDataKey {
  readonly files: ReadonlyMap<string, readonly SessionFile[]>;
}

/** The same for the sessions of a business's people. */
export interface SandboxFiles {
  readonly main: SandboxSession;
  readonly people: readonly SandboxSession[];
}

/** A session that was simulated, to be written. */
export interface SimulatedSession extends NewSession {
  readonly files: readonly SessionFile[];
}

/** What is simulated, and on what. */
export interface Simulation {
  /**
   * The session that drawings were stored for, with the status that it is to have. Its features and what is read from its
   * content are made here.
   */
  readonly session: SessionRow;
  readonly home: SessionHome;
  /** The checks of its verification workflow. */
  readonly checks: readonly CheckCategory[];
  /** When it happens, ISO 8601. */
  readonly now: string;
  /** Verification workflow of a business's people. */
  readonly peopleWorkflow: WorkflowVersion | null;
  readonly files: SandboxFiles;
}

const NO_SETTINGS: SessionHome = {
  session_url: null,
  metadata: null,
  expected_details: null,
  contact_details: null,
  callback: null,
};

/** Simulates a session: itself first, then the sessions of a business's people. Nothing is written. */
export function simulateSession(tx: HandoffTransaction, simulation: Simulation): SimulatedSession[] {
  const { session, checks, now, home, files } = simulation;
  const order = { sessionId: session.sessionId, status: session.status, checks, now };
  if (session.kind === 'user') return [sealed(tx, session, home, simulateUser(order), files.main)];
  const people = new Map(files.people.map((person) => [person.sessionId, person]));
  const business = simulateBusiness(order, [...people.keys()]);
  return [
    sealed(tx, session, home, business.items, files.main),
    ...business.people.flatMap(({ sessionId, status, items }) => {
      const person = people.get(sessionId);
      return person === undefined
        ? []
        : [sealed(tx, personOf(simulation, sessionId, status), NO_SETTINGS, items, person)];
    }),
  ];
}

function personOf(
  { session, peopleWorkflow }: Simulation,
  sessionId: string,
  status: SessionRow['status'],
): SessionRow {
  return {
    ...session,
    sessionId,
    kind: 'user',
    status,
    firstStatus: status,
    workflowId: peopleWorkflow?.workflowId ?? null,
    workflowVersion: peopleWorkflow?.version ?? 1,
    vendorData: null,
    features: [],
  };
}

function sealed(
  tx: HandoffTransaction,
  row: SessionRow,
  home: SessionHome,
  items: SimulatedItems,
  stored: SandboxSession,
): SimulatedSession {
  const files: SessionFile[] = [];
  const left = new Map([...stored.files].map(([image, copies]) => [image, [...copies]]));
  const parts = [...items].flatMap(([category, list]) => list.map((item, at) => takeApart(category, at, item)));
  const checks = replaceMedia(parts, (text) => {
    const copies = left.get(text);
    if (copies === undefined) return text;
    const file = copies.shift();
    if (file === undefined) throw new Error('a drawing stands in more places than it was stored for');
    files.push(file);
    return mediaReference(file.mediaId);
  });
  const session: SessionRow = {
    ...row,
    features: row.features.length > 0 ? row.features : featuresOf(checks),
    documentExpiresOn: earliestExpiry(checks),
    ...facetsOf(checks),
  };
  return {
    session,
    content: sealContent(tx, session, { checks, home }, stored.key),
    searchTerms: searchTermsOf(tx, session.applicationId, checks),
    files,
  };
}
