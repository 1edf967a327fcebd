import type { JsonObject } from '../domain/json.ts';
import { renderStatus } from '../domain/session-status.ts';
import type { DecisionStyle } from './decision.ts';
import type { NewEvent, SessionRow } from './ports.ts';

/**
 * Didit's `status.updated` for a session that came to its status now (contract row 17). The event store leaves the
 * decision out when the signed body cannot carry it (contract row 30).
 *
 * @param about.cause what happened, for the once-only key
 */
export function statusUpdatedEvent(
  session: SessionRow,
  decision: JsonObject,
  about: {
    readonly tokenId: string | null;
    readonly cause: string;
    readonly style: DecisionStyle;
  },
): NewEvent {
  const body: JsonObject = {
    webhook_type: 'status.updated',
    application_id: session.applicationId,
    environment: session.environment,
    session_id: session.sessionId,
    session_kind: session.kind,
    status: renderStatus(session.kind, session.status, about.style.businessStatusCase),
    workflow_id: session.workflowId,
    workflow_version: 1,
    vendor_data: session.vendorData,
    metadata: decision['metadata'] ?? null,
    decision,
  };
  if (session.kind === 'business') body['business_session_id'] = session.sessionId;
  return {
    type: 'status.updated',
    applicationId: session.applicationId,
    tokenId: about.tokenId,
    sessionId: session.sessionId,
    dedupeKey: `${session.sessionId}:status.updated:${about.cause}`,
    body,
  };
}
