import type { AuditEventType } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ConnectionRow } from '../postgres/connection-reads.ts';
import type { AgreementSignature, Change } from '../sharing/ports.ts';

/**
 * What became of a connection, for the audit trail of each side: what the partner keeps to itself is no change to the
 * issuer.
 *
 * @param before null for one that was proposed
 */
export function connectionChanges(
  before: ConnectionRow | null,
  after: ConnectionRow,
  agreement: AgreementSignature | undefined,
): Change[] {
  return [after.issuerId, after.partnerId].flatMap((applicationId) => {
    const about = { applicationId, subjectId: after.connectionId };
    const [was, is] = [before === null ? undefined : stateFor(applicationId, before), stateFor(applicationId, after)];
    const changes: Change[] = typesOf(before, after, was, is).map((type) => ({
      ...about,
      type,
      before: was,
      after: is,
    }));
    if (agreement !== undefined) changes.push({ ...about, type: 'agreement.recorded', after: { ...agreement } });
    return changes;
  });
}

function typesOf(
  before: ConnectionRow | null,
  after: ConnectionRow,
  was: JsonObject | undefined,
  is: JsonObject,
): AuditEventType[] {
  if (before === null) return ['connection.proposed'];
  const types: AuditEventType[] = [];
  if (before.status !== after.status) types.push('connection.accepted');
  if (suspensions(after) > suspensions(before)) types.push('connection.suspended');
  if (suspensions(after) < suspensions(before)) types.push('connection.resumed');
  if (types.length === 0 && JSON.stringify(was) !== JSON.stringify(is)) types.push('connection.changed');
  return types;
}

/** How many sides hold it: a call changes one side's alone. */
function suspensions(row: ConnectionRow): number {
  return [row.suspendedByIssuerAt, row.suspendedByPartnerAt].filter((at) => at !== null).length;
}

function stateFor(readerId: string, row: ConnectionRow): JsonObject {
  return {
    status: row.status,
    suspended_by_issuer: row.suspendedByIssuerAt !== null,
    suspended_by_partner: row.suspendedByPartnerAt !== null,
    acceptance: row.acceptance,
    trust_review: row.trustReview,
    vendor_data_rule: row.vendorDataRule,
    ...(readerId === row.partnerId && { user_workflow: row.userWorkflowId, business_workflow: row.businessWorkflowId }),
  };
}
