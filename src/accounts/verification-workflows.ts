import { invalidFields, Refusal } from '../domain/failures.ts';
import { kindOfFeatures, type FeatureStep, type WorkflowSettings } from '../domain/verification-workflow.ts';
import { newId } from '../postgres/new-id.ts';
import type { Transaction } from '../postgres/tenants.ts';
import {
  deleteVersion,
  insertVersion,
  lockWorkflows,
  readWorkflowVersion,
  setDefault,
  settleWorkflow,
  updateVersion,
  type WorkflowRow,
} from '../postgres/verification-workflows.ts';
import { createVerificationWorkflow } from './applications.ts';

const MAX_WORKFLOWS = 50;

/** What an owner says of a verification workflow; a member that is absent stays, or has its default. */
export interface WorkflowChange {
  readonly label?: string | undefined;
  readonly isDefault?: boolean | undefined;
  readonly status?: 'draft' | 'published' | undefined;
  readonly features?: readonly FeatureStep[] | undefined;
  readonly settings: Partial<WorkflowSettings>;
}

/** Who changes: an API key of the application. */
export interface WorkflowOwner {
  readonly applicationId: string;
  readonly keyId: string;
}

/**
 * Creates a verification workflow of the kind that its steps say: `POST /v3/workflows/`.
 *
 * @returns the id of the workflow and of its first version
 * @throws {Refusal} `invalid_request` when the application has 50 of them, or on `is_default` for a draft
 */
export async function addVerificationWorkflow(
  sql: Transaction,
  { applicationId, keyId }: WorkflowOwner,
  workflow: WorkflowChange & { readonly label: string; readonly features: readonly FeatureStep[] },
): Promise<string> {
  const published = workflow.status !== 'draft';
  const isDefault = workflow.isDefault === true;
  refuseDraftDefault(isDefault, published);
  if ((await lockWorkflows(sql, applicationId)) >= MAX_WORKFLOWS) {
    throw invalidFields({
      detail: [`An application can have at most ${MAX_WORKFLOWS} verification workflows. Delete one first.`],
    });
  }
  return createVerificationWorkflow(sql, {
    applicationId,
    label: workflow.label,
    kind: kindOfFeatures(workflow.features.map(({ feature }) => feature)),
    isDefault,
    published,
    features: workflow.features,
    settings: workflow.settings,
    createdBy: keyId,
  });
}

/**
 * Changes a version in place, publishes a draft, or makes the next version of a published one:
 * `PATCH /v3/workflows/{settings_uuid}/`.
 *
 * @returns the version as it was, and the id of the version that the change made or changed
 * @throws {Refusal} `not_found`; `invalid_request` on `status` for a published version that is to be a draft, on
 *   `features` of the other kind, on `is_default` for a draft
 */
export async function changeVerificationWorkflow(
  sql: Transaction,
  { applicationId, keyId }: WorkflowOwner,
  versionId: string,
  change: WorkflowChange,
): Promise<{ readonly before: WorkflowRow; readonly changedId: string }> {
  await lockWorkflows(sql, applicationId);
  const before = await readWorkflowVersion(sql, applicationId, versionId);
  if (before === null) throw new Refusal('not_found');
  if (before.status === 'published' && change.status === 'draft') {
    throw invalidFields({ status: ['Cannot revert a published version to draft.'] });
  }
  const published = change.status !== 'draft';
  const features = change.features ?? before.features;
  if (change.features !== undefined && kindOfFeatures(features.map(({ feature }) => feature)) !== before.kind) {
    const sentence = `These features are not for ${before.kind} sessions, as this workflow is: create another workflow.`;
    throw invalidFields({ features: [sentence] });
  }
  refuseDraftDefault(change.isDefault === true, published);

  const after = {
    label: change.label ?? before.label,
    published,
    features,
    settings: { ...before.settings, ...change.settings },
  };
  const isNext = before.status === 'published' && change.status === 'published';
  const changedId = isNext ? newId() : versionId;
  const { workflowId } = before;
  if (isNext) insertVersion(sql, { ...after, versionId: changedId, workflowId, applicationId, createdBy: keyId });
  else updateVersion(sql, applicationId, { ...after, versionId });
  settleWorkflow(sql, applicationId, workflowId);
  if (change.isDefault !== undefined) setDefault(sql, applicationId, before, change.isDefault);
  return { before, changedId };
}

/**
 * Deletes a version, and with the last one its workflow: `DELETE /v3/workflows/{settings_uuid}/`.
 *
 * @throws {Refusal} `not_found`
 */
export async function removeVerificationWorkflow(
  sql: Transaction,
  applicationId: string,
  versionId: string,
): Promise<void> {
  await lockWorkflows(sql, applicationId);
  const workflowId = await deleteVersion(sql, applicationId, versionId);
  if (workflowId === null) throw new Refusal('not_found');
  settleWorkflow(sql, applicationId, workflowId);
}

function refuseDraftDefault(isDefault: boolean, published: boolean): void {
  if (isDefault && !published) throw invalidFields({ is_default: ['A draft cannot be the default: publish it.'] });
}
