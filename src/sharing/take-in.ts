import type { DecisionContent } from '../domain/decision-intake.ts';
import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import { facetsOf } from '../domain/session-facts.ts';
import type { Environment, FilesAhead, HandoffTransaction, SessionRow, WorkflowVersion } from './ports.ts';
import { createdChange } from './session-changes.ts';
import { searchTermsOf, sealContent } from './store-content.ts';

/** What a take-in did: the session, and whether it is new. */
export interface TakenIn {
  readonly sessionId: string;
  readonly created: boolean;
}

/**
 * Takes in a session as a decision document of either kind: `POST /v1/sessions/`. The same `external_id` twice is one
 * session, whose content stays as it was.
 *
 * @param ahead stored files that the content names
 * @throws {Refusal} `external_id_conflict` when the stored session is of the other kind; `invalid_request` when the
 *   document names the other environment; `application_deleted`
 */
export async function takeInSession(
  tx: HandoffTransaction,
  applicationId: string,
  content: DecisionContent,
  actor: Actor,
  ahead: FilesAhead | null = null,
): Promise<TakenIn> {
  const facts = await tx.sessions.takeInFacts(applicationId, content.external_id);
  if (facts.stored !== null) {
    if (facts.stored.kind !== content.kind) throw new Refusal('external_id_conflict', { field: 'external_id' });
    return { sessionId: facts.stored.sessionId, created: false };
  }
  if (facts.deleted) throw new Refusal('application_deleted');
  if (content.environment !== null && content.environment !== facts.environment) {
    throw invalidFields({
      environment: [
        `This application is in ${facts.environment}. Leave the field out, or send "${facts.environment}".`,
      ],
    });
  }
  const session = newSession(tx, applicationId, content, facts, ahead?.session.sessionId);
  const sealed = sealContent(tx, session, content, ahead?.session.key);
  const terms = searchTermsOf(tx, applicationId, content.checks);
  // Being blocked keeps others' records out, not one's own.
  const touched = tx.sessions.touchEntities(applicationId, [session]);
  tx.sessions.insertContent(session, sealed, terms);
  tx.sessions.insertMedia(session, ahead?.files ?? []);
  tx.events.record([createdChange(session, 'taken_in')], actor);
  await touched;
  return { sessionId: session.sessionId, created: true };
}

/** The row of a session that was verified elsewhere. */
export function newSession(
  tx: HandoffTransaction,
  applicationId: string,
  content: DecisionContent,
  facts: { readonly environment: Environment; readonly now: string; readonly workflow?: WorkflowVersion },
  sessionId: string = tx.newId(),
): SessionRow {
  return {
    sessionId,
    applicationId,
    kind: content.kind,
    number: 0,
    status: content.status,
    environment: facts.environment,
    workflowId: facts.workflow?.workflowId ?? null,
    vendorData: content.vendor_data,
    externalId: content.external_id,
    features: content.features,
    nfcSkipReason: content.nfc_skip_reason,
    documentExpiresOn: content.document_expires_on,
    sharedFromSession: null,
    parentImport: null,
    sessionType: 'MIGRATED',
    workflowVersion: facts.workflow?.version ?? 1,
    firstStatus: content.status,
    ...facetsOf(content.checks),
    createdAt: content.created_at ?? facts.now,
    expiresAt: content.expires_at,
  };
}
