import type { CheckCategory } from '../domain/decision-categories.ts';
import { earliestExpiry, featuresOf } from '../domain/decision-arrays.ts';
import type { SessionHome } from '../domain/decision-document.ts';
import { takeApart } from '../domain/decision-parts.ts';
import { mediaReference, replaceMedia } from '../domain/media-references.ts';
import {
  PEOPLE_OF_A_BUSINESS,
  simulateBusiness,
  simulateUser,
  type SimulatedItems,
} from '../domain/sandbox/simulate.ts';
import { facetsOf } from '../domain/session-facts.ts';
import type { HandoffTransaction, NewSession, SessionFile, SessionRow, WorkflowVersion } from './ports.ts';
import { searchTermsOf, sealContent } from './store-content.ts';

/** The sandbox's drawings, stored: by the `data:` URI that stands for each in simulated content. */
export type SandboxFiles = ReadonlyMap<string, Omit<SessionFile, 'mediaId'>>;

/** A session that was simulated, to be written. */
export interface SimulatedSession extends NewSession {
  readonly files: readonly SessionFile[];
}

/** What is simulated, and on what. */
export interface Simulation {
  /** The session with the status that it is to have. Its features and what is read from its content are made here. */
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
  if (session.kind === 'user') return [sealed(tx, session, home, simulateUser(order), files)];
  const personIds = Array.from({ length: PEOPLE_OF_A_BUSINESS }, () => tx.newId());
  const business = simulateBusiness(order, personIds);
  return [
    sealed(tx, session, home, business.items, files),
    ...business.people.map(({ sessionId, status, items }) =>
      sealed(tx, personOf(simulation, sessionId, status), NO_SETTINGS, items, files),
    ),
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
  stored: SandboxFiles,
): SimulatedSession {
  const files: SessionFile[] = [];
  const parts = [...items].flatMap(([category, list]) => list.map((item, at) => takeApart(category, at, item)));
  const checks = replaceMedia(parts, (text) => {
    const file = stored.get(text);
    if (file === undefined) return text;
    const mediaId = tx.newId();
    files.push({ ...file, mediaId });
    return mediaReference(mediaId);
  });
  const session: SessionRow = {
    ...row,
    features: row.features.length > 0 ? row.features : featuresOf(checks),
    documentExpiresOn: earliestExpiry(checks),
    ...facetsOf(checks),
  };
  return {
    session,
    content: sealContent(tx, session, { checks, home }),
    searchTerms: searchTermsOf(tx, session.applicationId, checks),
    files,
  };
}
