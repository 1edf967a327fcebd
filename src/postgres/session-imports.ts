import {
  IMPORT_FAILURES,
  type ImportFailure,
  type ImportFormat,
  type ImportProgress,
  type ImportStatus,
  type ImportType,
} from '../domain/session-import.ts';
import type { SessionKind } from '../domain/decision-categories.ts';
import type { Environment, ImportJob, ImportStore, NewImport, PartOutcome, WorkflowVersion } from '../sharing/ports.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

const PROGRESS = `status, next_part as "nextPart", total_rows as "totalRows", processed_rows as "processedRows",
  created_count as "createdCount", skipped_count as "skippedCount", failed_count as "failedCount"`;

type ProgressRow = ImportProgress & { readonly status: ImportStatus };

/** SQL of imports, for the verbs. */
export function importStore(tx: Transaction): ImportStore {
  return {
    insert: (job) => insertImport(tx, job),
    look: (importId) => readJob(tx, importId, null, ''),
    lock: (importId, applicationId) => readJob(tx, importId, applicationId ?? null, 'for update'),
    readPart: async (importId, position) => {
      const [row] = await tx.query<{ payload: Buffer }>(
        'select payload from session_import_part where import_id = $1 and position = $2',
        [importId, position],
      );
      return row?.payload ?? null;
    },
    finishPart: (importId, applicationId, position, outcome) =>
      finishPart(tx, importId, applicationId, position, outcome),
    end: (importId, applicationId, as, why) => endImport(tx, importId, applicationId, as, why),
  };
}

function insertImport(tx: Transaction, { parts, ...job }: NewImport): void {
  tx.send(
    `insert into session_import (import_id, application_id, environment, import_type, provider, workflow_id,
       workflow_version, file_format, source_filename, parts, total_rows, total_bytes, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      job.importId,
      job.applicationId,
      job.environment,
      job.importType,
      job.provider,
      job.workflow.workflowId,
      job.workflow.version,
      job.fileFormat,
      job.sourceFilename,
      parts.length,
      job.totalRows,
      job.totalBytes,
      job.createdBy,
    ],
  );
  let first = 0;
  for (const payloads of portions(parts)) {
    tx.send(
      `insert into session_import_part (import_id, application_id, position, payload)
       select $1, $2, $3::int + o.nth - 1, o.payload from unnest($4::bytea[]) with ordinality as o(payload, nth)`,
      [job.importId, job.applicationId, first, payloads],
    );
    first += payloads.length;
  }
}

/** A statement is held in memory several times over while it is sent. */
const STATEMENT_BYTES = 4 * 1024 * 1024;

/** Parts in their order, as many together as go into a statement; at least one. */
function portions(parts: readonly Buffer[]): Buffer[][] {
  const portioned: Buffer[][] = [];
  let room = 0;
  for (const part of parts) {
    if (part.length > room) {
      portioned.push([]);
      room = STATEMENT_BYTES;
    }
    portioned.at(-1)?.push(part);
    room -= part.length;
  }
  return portioned;
}

async function readJob(
  tx: Transaction,
  importId: string,
  applicationId: string | null,
  lock: '' | 'for update',
): Promise<ImportJob | null> {
  // Its run knows no tenant: from here on the transaction acts for the one that the import is of.
  if (applicationId === null) {
    tx.send(
      `select set_config('handoff.tenant', application_id::text, true) from session_import where import_id = $1`,
      [importId],
    );
  }
  const [row] = await tx.query<Omit<ImportJob, 'progress' | 'workflow'> & WorkflowVersion & ProgressRow>(
    `select application_id as "applicationId", environment, import_type as "importType", workflow_id as "workflowId",
       workflow_version as version, ${PROGRESS}
     from session_import where import_id = $1 and ($2::uuid is null or application_id = $2) ${lock}`,
    [importId, applicationId],
  );
  if (row === undefined) return null;
  const { applicationId: owner, environment, importType, workflowId, version, ...progress } = row;
  return { applicationId: owner, environment, importType, workflow: { workflowId, version }, progress };
}

async function finishPart(
  tx: Transaction,
  importId: string,
  applicationId: string,
  position: number,
  { created, skipped, mediaBytes, errors, lastRow }: PartOutcome,
): Promise<ImportProgress> {
  if (errors.length > 0) {
    tx.send(
      `insert into session_import_error (import_id, application_id, row_number, payload)
       select $1, $2, * from unnest($3::int[], $4::bytea[])`,
      [importId, applicationId, errors.map(({ row }) => row), errors.map(({ payload }) => payload)],
    );
  }
  tx.send('delete from session_import_part where import_id = $1 and application_id = $2 and position = $3', [
    importId,
    applicationId,
    position,
  ]);
  const [row] = await tx.query<ProgressRow>(
    `update session_import set next_part = $3::int + 1, checkpoint_row = $4,
       processed_rows = processed_rows + $5::int + $6::int + $7::int,
       created_count = created_count + $5::int, skipped_count = skipped_count + $6::int,
       failed_count = failed_count + $7::int, total_media_bytes = total_media_bytes + $8,
       status = case when $3::int + 1 >= parts then 'completed' else 'processing' end,
       started_at = coalesce(started_at, handoff_now()),
       completed_at = case when $3::int + 1 >= parts then handoff_now() end, updated_at = handoff_now()
     where import_id = $1 and application_id = $2 returning ${PROGRESS}`,
    [importId, applicationId, position, lastRow, created, skipped, errors.length, mediaBytes],
  );
  if (row === undefined) throw new Error('a locked import is there');
  return row;
}

async function endImport(
  tx: Transaction,
  importId: string,
  applicationId: string,
  as: 'failed' | 'cancelled',
  why: ImportFailure,
): Promise<ImportProgress> {
  tx.send('delete from session_import_part where import_id = $1 and application_id = $2', [importId, applicationId]);
  const [row] = await tx.query<ProgressRow>(
    `update session_import set status = $3, last_error = $4, completed_at = handoff_now(), updated_at = handoff_now()
     where import_id = $1 and application_id = $2 returning ${PROGRESS}`,
    [importId, applicationId, as, IMPORT_FAILURES[why]],
  );
  if (row === undefined) throw new Error('a locked import is there');
  return row;
}

/** What a new import of this type is judged by. */
export async function importDefaults(
  tx: Transaction,
  applicationId: string,
  kind: SessionKind,
): Promise<{
  readonly environment: Environment;
  readonly deleted: boolean;
  readonly defaultWorkflow: WorkflowVersion | null;
}> {
  const [row] = await tx.query<{ environment: Environment; deleted: boolean; defaultWorkflow: WorkflowVersion | null }>(
    `select a.environment, a.deleted_at is not null as deleted,
       case when w.published_version is not null
         then jsonb_build_object('workflowId', w.workflow_id, 'version', w.published_version) end as "defaultWorkflow"
     from application a
     left join verification_workflow w on w.application_id = a.application_id and w.session_kind = $2 and w.is_default
     where a.application_id = $1`,
    [applicationId, kind],
  );
  if (row === undefined) throw new Error('an API key belongs to an application');
  return row;
}

/** How many imports of an application are open; whoever opens one waits for others who do. */
export async function lockOpenImports(tx: Transaction, applicationId: string): Promise<number> {
  tx.send('select pg_advisory_xact_lock(hashtextextended($1, 4))', [applicationId]);
  const [row] = await tx.query<{ count: number }>(
    `select count(*)::float8 as count from session_import where application_id = $1 and completed_at is null`,
    [applicationId],
  );
  return row?.count ?? 0;
}

/** An import as its application sees it. */
export interface ImportRow {
  readonly importId: string;
  readonly status: ImportStatus;
  readonly importType: ImportType;
  readonly fileFormat: ImportFormat;
  readonly provider: string;
  readonly workflowId: string;
  /** Sealed. */
  readonly sourceFilename: Buffer | null;
  readonly totalRows: number;
  readonly processedRows: number;
  readonly createdCount: number;
  readonly updatedCount: number;
  readonly skippedCount: number;
  readonly failedCount: number;
  readonly checkpointRow: number;
  /** Of files inside its rows that are stored. */
  readonly totalMediaBytes: number;
  readonly lastError: string | null;
  /** ISO 8601, as all times here. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
}

const ROW = `select import_id as "importId", status, import_type as "importType", file_format as "fileFormat", provider,
    workflow_id as "workflowId", source_filename as "sourceFilename", total_rows as "totalRows",
    processed_rows as "processedRows", created_count as "createdCount", updated_count as "updatedCount",
    skipped_count as "skippedCount", failed_count as "failedCount", checkpoint_row as "checkpointRow",
    total_media_bytes::float8 as "totalMediaBytes",
    last_error as "lastError", ${isoColumn('created_at')} as "createdAt", ${isoColumn('updated_at')} as "updatedAt",
    ${isoColumn('started_at')} as "startedAt", ${isoColumn('completed_at')} as "completedAt"
  from session_import`;

type Page = { readonly limit: number; readonly offset: number };

/** One import of an application's own. */
export async function readImport(tx: Transaction, applicationId: string, importId: string): Promise<ImportRow | null> {
  const [row] = await tx.query<ImportRow & Record<string, unknown>>(
    `${ROW} where import_id = $1 and application_id = $2`,
    [importId, applicationId],
  );
  return row ?? null;
}

/** A page of an application's imports, newest first, and how many there are. */
export async function listImports(
  tx: Transaction,
  applicationId: string,
  page: Page,
): Promise<{ count: number; rows: ImportRow[] }> {
  const [rows, [total]] = await Promise.all([
    tx.query<ImportRow & Record<string, unknown>>(
      `${ROW} where application_id = $1 order by import_id desc limit $2 offset $3`,
      [applicationId, page.limit, page.offset],
    ),
    tx.query<{ count: number }>('select count(*)::float8 as count from session_import where application_id = $1', [
      applicationId,
    ]),
  ]);
  return { count: total?.count ?? 0, rows };
}

/** Bad rows of an import that are sealed: what is wrong with each, by row number. */
export interface ImportErrorRow {
  readonly row: number;
  readonly payload: Buffer;
}

/** A page of an import's bad rows in the file's order, and how many there are; `null` when it is not there. */
export async function listImportErrors(
  tx: Transaction,
  applicationId: string,
  importId: string,
  page: Page,
): Promise<{ count: number; rows: ImportErrorRow[] } | null> {
  const [[total], rows] = await Promise.all([
    tx.query<{ count: number }>(
      'select failed_count as count from session_import where import_id = $1 and application_id = $2',
      [importId, applicationId],
    ),
    tx.query<ImportErrorRow & Record<string, unknown>>(
      `select row_number as row, payload from session_import_error where import_id = $1 and application_id = $2
       order by row_number limit $3 offset $4`,
      [importId, applicationId, page.limit, page.offset],
    ),
  ]);
  return total === undefined ? null : { count: total.count, rows };
}

/** The next bad rows of an import after a row, for whoever reads all of them. */
export function nextImportErrors(
  tx: Transaction,
  applicationId: string,
  importId: string,
  afterRow: number,
  limit: number,
): Promise<ImportErrorRow[]> {
  return tx.query<ImportErrorRow & Record<string, unknown>>(
    `select row_number as row, payload from session_import_error
     where import_id = $1 and application_id = $2 and row_number > $3 order by row_number limit $4`,
    [importId, applicationId, afterRow, limit],
  );
}

/** Open imports that were not compared with Temporal for a while, as with onboardings. */
export function takeImportsToCheck(
  tx: Transaction,
  idleSeconds: number,
  limit: number,
): Promise<{ importId: string }[]> {
  return tx.query<{ importId: string }>(
    `update session_import set checked_at = handoff_now()
     where import_id in (
       select import_id from session_import
       where completed_at is null and checked_at < handoff_now() - make_interval(secs => $1)
         and checked_at < handoff_now() - least(interval '10 minutes', (handoff_now() - created_at) / 10)
       order by checked_at limit $2 for update skip locked)
     returning import_id as "importId"`,
    [idleSeconds, limit],
  );
}
