import type { SessionKind } from '../domain/decision-categories.ts';
import type { Environment } from '../sharing/ports.ts';
import type { Transaction } from './tenants.ts';

/** Writes a new application. */
export function insertApplication(
  tx: Transaction,
  row: { applicationId: string; name: string; environment: Environment },
): void {
  tx.send('insert into application (application_id, name, environment) values ($1, $2, $3)', [
    row.applicationId,
    row.name,
    row.environment,
  ]);
}

/** Writes a new verification workflow; a default one takes the place of the kind's earlier default. */
export function insertVerificationWorkflow(
  tx: Transaction,
  row: { workflowId: string; applicationId: string; label: string; kind: SessionKind; isDefault: boolean },
): void {
  if (row.isDefault) {
    tx.send(
      `update verification_workflow set is_default = false
       where application_id = $1 and session_kind = $2 and is_default`,
      [row.applicationId, row.kind],
    );
  }
  tx.send(
    `insert into verification_workflow (workflow_id, application_id, label, session_kind, is_default)
     values ($1, $2, $3, $4, $5)`,
    [row.workflowId, row.applicationId, row.label, row.kind, row.isDefault],
  );
}
