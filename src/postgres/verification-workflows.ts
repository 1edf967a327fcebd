import type { SessionKind } from '../domain/decision-categories.ts';
import type { FeatureStep, WorkflowSettings } from '../domain/verification-workflow.ts';
import type { WorkflowVersion } from '../sharing/ports.ts';
import { isoColumn, uuidOrNull } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** One version of a verification workflow, as its owner sees it. */
export interface WorkflowRow {
  /** Of this version; the first version has the workflow's own id. */
  readonly versionId: string;
  readonly workflowId: string;
  readonly version: number;
  readonly kind: SessionKind;
  readonly label: string;
  readonly status: 'draft' | 'published';
  readonly isDefault: boolean;
  readonly hasDraft: boolean;
  readonly features: readonly FeatureStep[];
  /** What was set; the rest has Didit's defaults. */
  readonly settings: Partial<WorkflowSettings>;
  /** Name of the API key that made it, if one did. */
  readonly createdBy: string | null;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly publishedAt: string | null;
}

const WORKFLOW = `select v.version_id as "versionId", v.workflow_id as "workflowId", v.version, w.session_kind as kind,
    v.label, v.status, w.is_default as "isDefault", v.features, v.settings, k.name as "createdBy",
    exists (select 1 from verification_workflow_version d where d.workflow_id = v.workflow_id and d.status = 'draft')
      as "hasDraft",
    ${isoColumn('v.created_at')} as "createdAt", ${isoColumn('v.updated_at')} as "updatedAt",
    ${isoColumn('v.published_at')} as "publishedAt"
  from verification_workflow_version v join verification_workflow w on w.workflow_id = v.workflow_id
  left join api_key k on k.key_id = v.created_by and k.application_id = v.application_id
  where v.application_id = $1`;

/** Every version of an application's workflows, the newest first, with their number. */
export async function listWorkflowVersions(
  tx: Transaction,
  applicationId: string,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: WorkflowRow[] }> {
  const [[total], rows] = await Promise.all([
    tx.query<{ count: number }>(
      'select count(*)::float8 as count from verification_workflow_version where application_id = $1',
      [applicationId],
    ),
    tx.query<WorkflowRow>(`${WORKFLOW} order by v.created_at desc, v.version_id desc limit $2 offset $3`, [
      applicationId,
      page.limit,
      page.offset,
    ]),
  ]);
  return { count: total?.count ?? 0, rows };
}

/** One version of the application's own. */
export async function readWorkflowVersion(
  tx: Transaction,
  applicationId: string,
  versionId: string,
): Promise<WorkflowRow | null> {
  const [row] = await tx.query<WorkflowRow>(`${WORKFLOW} and v.version_id = $2`, [applicationId, versionId]);
  return row ?? null;
}

/** Locks an application's workflows against every other change, and counts them. */
export async function lockWorkflows(tx: Transaction, applicationId: string): Promise<number> {
  // One lock for all of them: the number, the defaults and the version numbers are facts about several rows.
  tx.send('select 1 from application where application_id = $1 for no key update', [applicationId]);
  const [row] = await tx.query<{ count: number }>(
    'select count(*)::float8 as count from verification_workflow where application_id = $1',
    [applicationId],
  );
  return row?.count ?? 0;
}

/** A version that is to be written. */
export interface NewWorkflowVersion {
  readonly versionId: string;
  readonly workflowId: string;
  readonly applicationId: string;
  readonly label: string;
  readonly published: boolean;
  readonly features: readonly FeatureStep[];
  readonly settings: Partial<WorkflowSettings>;
  /** Id of the API key that makes it. */
  readonly createdBy: string | null;
}

/** Writes a workflow with its first version, whose id is the workflow's own. */
export function insertWorkflow(
  tx: Transaction,
  row: Omit<NewWorkflowVersion, 'versionId'> & { readonly kind: SessionKind; readonly isDefault: boolean },
): void {
  if (row.isDefault) clearDefault(tx, row.applicationId, row.kind);
  tx.send(
    `insert into verification_workflow
       (workflow_id, application_id, label, session_kind, is_default, published_version, last_version)
     values ($1, $2, $3, $4, $5, $6, 0)`,
    [row.workflowId, row.applicationId, row.label, row.kind, row.isDefault, row.published ? 1 : null],
  );
  insertVersion(tx, { ...row, versionId: row.workflowId });
}

/** Writes the next version of a workflow; call {@link settleWorkflow} after it. */
export function insertVersion(tx: Transaction, row: NewWorkflowVersion): void {
  tx.send(
    `with next as (
       update verification_workflow set last_version = last_version + 1
       where workflow_id = $2 and application_id = $3 returning last_version
     )
     insert into verification_workflow_version (version_id, workflow_id, application_id, version, status, label, features,
       settings, created_by, published_at)
     select $1, $2, $3, last_version, $4, $5, $6::jsonb, $7::jsonb, $8,
       case when $4 = 'published' then handoff_now() end
     from next`,
    [
      row.versionId,
      row.workflowId,
      row.applicationId,
      row.published ? 'published' : 'draft',
      row.label,
      JSON.stringify(row.features),
      JSON.stringify(row.settings),
      row.createdBy,
    ],
  );
}

/** Writes a version in place; call {@link settleWorkflow} after it. */
export function updateVersion(
  tx: Transaction,
  applicationId: string,
  row: Pick<NewWorkflowVersion, 'versionId' | 'label' | 'published' | 'features' | 'settings'>,
): void {
  tx.send(
    `update verification_workflow_version set label = $3, status = $4, features = $5::jsonb, settings = $6::jsonb,
       published_at = case when $4 = 'published' then coalesce(published_at, handoff_now()) end,
       updated_at = handoff_now()
     where application_id = $1 and version_id = $2`,
    [
      applicationId,
      row.versionId,
      row.label,
      row.published ? 'published' : 'draft',
      JSON.stringify(row.features),
      JSON.stringify(row.settings),
    ],
  );
}

/** Makes a workflow the default of its kind, or no longer so. */
export function setDefault(
  tx: Transaction,
  applicationId: string,
  workflow: { readonly workflowId: string; readonly kind: SessionKind },
  isDefault: boolean,
): void {
  if (isDefault) clearDefault(tx, applicationId, workflow.kind);
  tx.send('update verification_workflow set is_default = $3 where application_id = $1 and workflow_id = $2', [
    applicationId,
    workflow.workflowId,
    isDefault,
  ]);
}

/** Brings a workflow up to its versions: the published one in use, and its label; without any version it goes. */
export function settleWorkflow(tx: Transaction, applicationId: string, workflowId: string): void {
  tx.send(
    `update verification_workflow w set published_version = latest.version, label = coalesce(latest.label, w.label),
       is_default = w.is_default and latest.version is not null
     from (select 1) one left join lateral (
       select version, label from verification_workflow_version
       where workflow_id = $2 and status = 'published' order by version desc limit 1
     ) latest on true
     where w.application_id = $1 and w.workflow_id = $2`,
    [applicationId, workflowId],
  );
  tx.send(
    `delete from verification_workflow w where w.application_id = $1 and w.workflow_id = $2
       and not exists (select 1 from verification_workflow_version v where v.workflow_id = w.workflow_id)`,
    [applicationId, workflowId],
  );
}

/** Deletes a version; resolves to its workflow, or null when it is not there. Call {@link settleWorkflow} after it. */
export async function deleteVersion(tx: Transaction, applicationId: string, versionId: string): Promise<string | null> {
  const [row] = await tx.query<{ workflow_id: string }>(
    `delete from verification_workflow_version where application_id = $1 and version_id = $2 returning workflow_id`,
    [applicationId, versionId],
  );
  return row?.workflow_id ?? null;
}

/**
 * The application's own published verification workflow that an id names: the workflow's id stands for its latest
 * published version, a version's id for that version. Null for any other text.
 */
export async function findVerificationWorkflow(
  tx: Transaction,
  applicationId: string,
  id: string,
): Promise<(WorkflowVersion & { readonly kind: SessionKind }) | null> {
  const [row] = await tx.query<WorkflowVersion & { kind: SessionKind }>(
    `select w.workflow_id as "workflowId", w.session_kind as kind, w.named_version as version
     from (${namedWorkflow('$1', '$2')}) w`,
    [applicationId, uuidOrNull(id)],
  );
  return row ?? null;
}

/** Subquery of the published workflow that an id names: its columns, and `named_version`. Takes parameters' numbers. */
export function namedWorkflow(applicationId: string, id: string): string {
  return `select named.*, coalesce(own.version, named.published_version) as named_version
    from (select 1) one
    left join verification_workflow_version own on own.version_id = ${id}::uuid and own.application_id = ${applicationId}::uuid
      and own.status = 'published' and own.version_id <> own.workflow_id
    join verification_workflow named on named.workflow_id = coalesce(own.workflow_id, ${id}::uuid)
      and named.application_id = ${applicationId}::uuid and named.published_version is not null`;
}

function clearDefault(tx: Transaction, applicationId: string, kind: SessionKind): void {
  tx.send(
    `update verification_workflow set is_default = false
     where application_id = $1 and session_kind = $2 and is_default`,
    [applicationId, kind],
  );
}
