import type { JsonObject } from '../domain/json.ts';
import { renderStatus, type SessionStatus } from '../domain/session-status.ts';
import type { DecisionStyle, DecisionWithReferences } from './decision.ts';
import type { NewEvent, SessionRow } from './ports.ts';

/** Statuses that are told with the decision (contract/didit-api.md 4.4). */
const TOLD_WITH_DECISION: ReadonlySet<SessionStatus> = new Set(['Approved', 'Declined', 'In Review', 'Abandoned']);

/**
 * Didit's `status.updated` for a session that came to its status now (contract row 17). The event store leaves the
 * decision out when the signed body cannot carry it (contract row 30).
 *
 * @param about.cause what happened, for the once-only key
 * @param about.reason why, for the audit trail: a code
 * @param about.before the status before, of a session that was there
 * @param about.businessId the entity that a business's session is of
 * @param about.resubmitInfo what is to be done again, of a session that is `Resubmitted`
 */
export function statusUpdatedEvent(
  session: SessionRow,
  decision: DecisionWithReferences,
  about: {
    readonly tokenId: string | null;
    readonly cause: string;
    readonly reason: string;
    readonly before?: SessionStatus | undefined;
    readonly businessId: string | null;
    readonly resubmitInfo?: JsonObject;
    readonly style: DecisionStyle;
  },
): NewEvent {
  const event = {
    ...sessionEvent('status.updated', session, decision, about),
    before: about.before && { status: about.before },
    after: { status: session.status },
  };
  if (about.resubmitInfo === undefined) return event;
  return { ...event, body: { ...event.body, resubmit_info: about.resubmitInfo } };
}

/** An event about a session, with its decision where the status is told with it. */
export function sessionEvent(
  type: 'status.updated' | 'data.updated',
  session: SessionRow,
  decision: DecisionWithReferences,
  about: {
    readonly tokenId: string | null;
    readonly cause: string;
    readonly reason: string;
    readonly businessId: string | null;
    readonly style: DecisionStyle;
  },
): NewEvent {
  const body: JsonObject = {
    webhook_type: type,
    application_id: session.applicationId,
    environment: session.environment,
    session_id: session.sessionId,
    session_kind: session.kind,
    status: renderStatus(session.kind, session.status, about.style.businessStatusCase),
    workflow_id: session.workflowId,
    workflow_version: session.workflowVersion,
    vendor_data: session.vendorData,
    metadata: decision['metadata'] ?? null,
  };
  if (TOLD_WITH_DECISION.has(session.status)) body['decision'] = decision;
  if (session.kind === 'business') {
    body['business_session_id'] = session.sessionId;
    body['vendor_business_id'] = about.businessId;
  }
  return {
    type,
    applicationId: session.applicationId,
    tokenId: about.tokenId,
    sessionId: session.sessionId,
    dedupeKey: `${session.sessionId}:${type}:${about.cause}`,
    reason: about.reason,
    body,
  };
}
