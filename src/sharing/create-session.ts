import type { Actor } from '../domain/events.ts';
import type { SessionHome } from '../domain/decision-document.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import {
  contactDetailsFor,
  expectedDetailsFor,
  type ContactDetails,
  type HostedSettings,
} from '../domain/hosted-session.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import { checksOfFeatures, type SandboxScenario } from '../domain/sandbox/scenarios.ts';
import { announceSimulation } from './announce.ts';
import type { DecisionStyle } from './decision.ts';
import type { CreationFacts, HandoffTransaction, LockedSession, SessionLifeStore, SessionRow } from './ports.ts';
import { createdChange } from './session-changes.ts';
import { simulateSession, type SandboxFiles } from './simulate.ts';
import { homeContext, sealContent } from './store-content.ts';

/** What the caller of a creation asks for. */
export interface SessionOrder {
  readonly applicationId: string;
  /** A verification workflow or one of its versions, as the caller names it. */
  readonly workflowId: string;
  readonly vendorData: string | null;
  readonly callback: string | null;
  readonly metadata: JsonValue;
  readonly expectedDetails: JsonObject | null;
  readonly contactDetails: ContactDetails | null;
  /** Makes a new session that ends so at once; null makes one that waits for its customer. */
  readonly scenario: SandboxScenario | null;
}

/** What creations stand on. */
export interface CreationTools {
  /** A new token of a hosted flow, what it is found by, and the flow's address. */
  readonly newFlow: () => { readonly token: string; readonly sha256: Buffer; readonly url: string };
  /** Of the session that a scenario makes; null without one. */
  readonly files: SandboxFiles | null;
  readonly style: DecisionStyle;
}

/**
 * Creates a session for a hosted flow: `POST /v3/session/`. Without a scenario the customer's unfinished session on the
 * same version of the verification workflow comes back instead, with this call's callback and metadata.
 *
 * @throws {Refusal} `application_deleted`; `invalid_request` on `workflow_id`, `sandbox_scenario` and `vendor_data`
 */
export async function createSession(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  order: SessionOrder,
  actor: Actor,
  tools: CreationTools,
): Promise<string> {
  const { applicationId, vendorData, scenario } = order;
  const facts = await store.creationFacts(applicationId, order.workflowId, scenario === null ? vendorData : null);
  if (facts.deleted) throw new Refusal('application_deleted');
  if (facts.workflow === null) throw invalidFields({ workflow_id: [NO_WORKFLOW] });
  if (scenario !== null && facts.environment !== 'sandbox') throw invalidFields({ sandbox_scenario: [LIVE] });

  const session =
    facts.unfinished?.session ?? newRow(tools.files?.main.sessionId ?? tx.newId(), order, facts, facts.workflow);
  if (await tx.sessions.touchEntities(applicationId, [session])) throw invalidFields({ vendor_data: [BLOCKED] });
  if (facts.unfinished !== null) {
    renew(tx, store, facts.unfinished, order);
    const { sessionId } = session;
    tx.events.record([{ type: 'session.changed', applicationId, sessionId, reason: 'renewed' }], actor);
    return session.sessionId;
  }
  const flow = tools.newFlow();
  const home: HostedSettings = {
    session_url: flow.url,
    session_token: flow.token,
    metadata: order.metadata,
    callback: order.callback,
    expected_details: expectedDetailsFor(session.kind, order.expectedDetails),
    contact_details: contactDetailsFor(session.kind, order.contactDetails),
  };
  if (scenario === null) {
    tx.sessions.insertContent(session, sealContent(tx, session, { checks: [], home }), []);
    tx.events.record([createdChange(session, 'hosted')], actor);
  } else if (tools.files !== null) insertSimulated(tx, session, home, facts, tools.files, actor);
  store.setHostedToken(session, flow.sha256);
  const email = order.contactDetails?.email ?? null;
  if (email !== null) {
    const terms = [tx.blindIndex.term(applicationId, 'email', email)];
    tx.sessions.insertSearchTerms(applicationId, [{ sessionId: session.sessionId, terms }]);
  }
  if (scenario !== null) await announceSimulation(tx, session, actor, tools.style);
  return session.sessionId;
}

const NO_WORKFLOW = 'Invalid workflow_id: your application has published no verification workflow of this id.';
const LIVE = 'Only a sandbox application can simulate, and this one is live: leave the field out.';
const BLOCKED =
  'This user or business has been blocked and cannot create new verification sessions. Unblock it, or use another vendor_data.';

function newRow(
  sessionId: string,
  { applicationId, vendorData, scenario }: SessionOrder,
  facts: CreationFacts,
  workflow: NonNullable<CreationFacts['workflow']>,
): SessionRow {
  const status = scenario?.status ?? 'Not Started';
  return {
    sessionId,
    applicationId,
    kind: workflow.kind,
    number: 0,
    status,
    environment: facts.environment,
    workflowId: workflow.workflowId,
    vendorData,
    externalId: null,
    features: [],
    nfcSkipReason: null,
    documentExpiresOn: null,
    sharedFromSession: null,
    parentImport: null,
    sessionType: 'HOSTED',
    workflowVersion: workflow.version,
    firstStatus: status,
    country: null,
    documentType: null,
    warnings: [],
    createdAt: facts.now,
    expiresAt: status === 'Expired' ? facts.now : workflow.expiresAt,
  };
}

function insertSimulated(
  tx: HandoffTransaction,
  session: SessionRow,
  home: SessionHome,
  { now, workflow, peopleWorkflow }: CreationFacts,
  files: SandboxFiles,
  actor: Actor,
): void {
  const checks = checksOfFeatures(session.kind, workflow?.features ?? []);
  const simulated = simulateSession(tx, { session, home, checks, now, peopleWorkflow, files });
  for (const made of simulated) tx.sessions.insertMedia(made.session, made.files);
  tx.sessions.insertContents(session.applicationId, simulated);
  tx.events.record(
    simulated.map((made) => createdChange(made.session, 'simulated')),
    actor,
  );
}

/** Didit's way with a customer who comes again: the same session, with the new call's callback and metadata. */
function renew(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  { session, key, settings }: LockedSession,
  { callback, metadata }: SessionOrder,
): void {
  const context = homeContext(session, '', 0);
  if (settings === null) throw new Error('a hosted session has settings');
  const known = tx.sealer.openPayload(context, settings) as JsonObject;
  store.setSettings(session, tx.sealer.sealPayload(context, { ...known, callback, metadata }, key));
}
