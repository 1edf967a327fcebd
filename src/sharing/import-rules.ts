import { Refusal } from '../domain/failures.ts';
import { isFinished } from '../domain/session-status.ts';
import type { ImportChoice, ImportFacts, SessionRow, ShareFacts, WorkflowVersion } from './ports.ts';

/** How an import came about: decides which defaults fill what the partner left out (`semantics.md`, "Acceptance and policy"). */
export type ImportWay = 'plain' | 'onboarding';

/** An import that no rule refuses: the importer's own columns, settled. */
export interface SettledImport {
  readonly source: SessionRow;
  readonly people: readonly SessionRow[];
  readonly workflow: WorkflowVersion;
  /** Verification workflow of the people's clones. */
  readonly peopleWorkflow: WorkflowVersion | null;
  readonly vendorData: string | null;
  readonly trustReview: boolean;
}

/**
 * Contract row 2 from `connection_suspended` on (`already_imported` before it), in that order; what passes is settled.
 *
 * @throws {Refusal} the first rule that says no
 */
export function settleImport(
  share: NonNullable<ShareFacts['token']>,
  facts: ImportFacts,
  choice: ImportChoice,
  way: ImportWay,
): SettledImport {
  const { source, connection } = facts;
  if (facts.livingImport !== null) {
    throw new Refusal('already_imported', { extra: { existing_session_id: facts.livingImport.sessionId } });
  }
  if (connection?.suspended === true) throw new Refusal('connection_suspended');
  if (facts.issuer.deleted || facts.partner.deleted) throw new Refusal('application_deleted');
  if (source === null) throw new Refusal('source_session_gone');
  if (!isFinished(source.status) || source.environment !== facts.partner.environment) {
    throw new Refusal('source_not_shareable');
  }
  return {
    source,
    people: facts.people,
    workflow: settleWorkflow(share, facts, choice),
    peopleWorkflow: facts.defaults.user,
    vendorData: vendorDataOf(source, share.issuerId, facts, choice, way),
    trustReview: choice.trustReview ?? (way === 'onboarding' && connection?.active === true && connection.trustReview),
  };
}

function settleWorkflow(
  share: NonNullable<ShareFacts['token']>,
  facts: ImportFacts,
  choice: ImportChoice,
): WorkflowVersion {
  if (choice.workflowId === undefined) {
    const fallback = facts.defaults[share.sessionKind];
    if (fallback === null) throw new Refusal('workflow_required', { field: 'workflow_id' });
    return fallback;
  }
  if (facts.chosenWorkflow === null) throw new Refusal('workflow_not_found', { field: 'workflow_id' });
  if (facts.chosenWorkflow.kind !== share.sessionKind) {
    throw new Refusal('workflow_kind_mismatch', { field: 'workflow_id' });
  }
  return facts.chosenWorkflow;
}

/** `vendor_data` of the clone: the partner's word, else the connection's rule; a plain call defaults to the source's value. */
function vendorDataOf(
  source: SessionRow,
  issuerId: string,
  facts: ImportFacts,
  choice: ImportChoice,
  way: ImportWay,
): string | null {
  if (choice.vendorData !== undefined) return choice.vendorData;
  return way === 'plain' ? source.vendorData : byRule(source.vendorData, issuerId, facts);
}

/** `vendor_data` of a person's clone: the connection's rule on its own source value; a plain call gives none. */
export function personVendorData(
  person: SessionRow,
  issuerId: string,
  facts: ImportFacts,
  way: ImportWay,
): string | null {
  return way === 'plain' ? null : byRule(person.vendorData, issuerId, facts);
}

function byRule(vendorData: string | null, issuerId: string, facts: ImportFacts): string | null {
  if (vendorData === null) return null;
  const rule = facts.connection?.active === true ? facts.connection.vendorDataRule : 'prefixed';
  return rule === 'same' ? vendorData : `${issuerId}:${vendorData}`;
}
