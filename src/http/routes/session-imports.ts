import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { headerProblems } from '../../domain/import-columns.ts';
import { csvLines, importTemplate } from '../../domain/import-templates.ts';
import { Refusal } from '../../domain/failures.ts';
import { IMPORTED_KIND, type ImportType } from '../../domain/session-import.ts';
import type { JsonValue } from '../../domain/json.ts';
import {
  importDefaults,
  listImportErrors,
  listImports,
  lockOpenImports,
  nextImportErrors,
  readImport,
  type ImportErrorRow,
  type ImportRow,
} from '../../postgres/session-imports.ts';
import type { Transaction } from '../../postgres/tenants.ts';
import { findVerificationWorkflow } from '../../postgres/verification-workflows.ts';
import { cancelImport, importSeal, openImport, type ImportOrder } from '../../sharing/import-file.ts';
import type { PayloadSealer } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { unfit } from '../cut-import-file.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { acceptUploads, readUpload, whileThereIsRoom } from '../import-upload.ts';
import { pageOf } from '../paging.ts';
import { check, orThrow, parseQuery, pathId } from '../requests.ts';
import {
  importContracts,
  importErrorsQuery,
  importsQuery,
  templateQuery,
  uploadForm,
} from '../schemas/session-imports.ts';

const reads = { resource: 'sessions', access: 'read' } as const;
/** Open imports of one application. */
const MAX_OPEN = 10;

const writes = { resource: 'sessions', access: 'write' } as const;

/** Taking in files of sessions: Didit's routes, and a cancel of ours. */
export function sessionImportRoutes(app: FastifyInstance, deps: AppDeps): void {
  // A scope of its own: no other route takes anything but JSON.
  void app.register(async (scope) => {
    await acceptUploads(scope);
    uploadRoute(scope, deps);
  });
  const { tenants } = deps;

  app.route({
    method: 'GET',
    url: '/v3/session/imports/',
    config: { needs: reads, contract: importContracts.list },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const page = parseQuery(importsQuery, request);
      const { count, items } = await tenants.withTenant(applicationId, async (tx, sql) => {
        const list = await listImports(sql, applicationId, page);
        return { count: list.count, items: list.rows.map((row) => importBody(row, applicationId, tx.sealer)) };
      });
      return pageOf(request, page, { count, items });
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/session/imports/template/',
    config: { needs: reads, contract: importContracts.template },
    handler: (request, reply) => {
      const { import_type: importType, format } = parseQuery(templateQuery, request);
      return reply
        .type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8')
        .header('content-disposition', `attachment; filename="${importType}.${format}"`)
        .send(importTemplate(importType, format));
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/session/imports/:uuid/',
    config: { needs: reads, contract: importContracts.read },
    handler: async (request) => {
      const { applicationId } = callerOf(request);
      const importId = pathId(request, 'uuid', 'not_found');
      return tenants.withTenant(applicationId, async (tx, sql) => {
        const row = await readImport(sql, applicationId, importId);
        if (row === null) throw new Refusal('not_found');
        return importBody(row, applicationId, tx.sealer);
      });
    },
  });

  app.route({
    method: 'GET',
    url: '/v3/session/imports/:uuid/errors/',
    config: { needs: reads, contract: importContracts.errors },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const importId = pathId(request, 'uuid', 'not_found');
      const { format, ...page } = parseQuery(importErrorsQuery, request);
      const list = await tenants.withTenant(applicationId, async (tx, sql) => {
        const found = await listImportErrors(sql, applicationId, importId, page);
        if (found === null) throw new Refusal('not_found');
        return {
          count: found.count,
          items: found.rows.map((row) => errorItem(row, applicationId, importId, tx.sealer)),
        };
      });
      if (format === 'json') return pageOf(request, page, list);
      return reply
        .type('text/csv; charset=utf-8')
        .header('content-disposition', 'attachment; filename="errors.csv"')
        .send(Readable.from(errorLines(deps, applicationId, importId)));
    },
  });

  app.route({
    method: 'POST',
    url: '/v3/session/imports/:uuid/cancel/',
    config: { needs: writes, contract: importContracts.cancel },
    handler: async (request, reply) => {
      const { applicationId } = callerOf(request);
      const importId = pathId(request, 'uuid', 'not_found');
      const { outcome, sealer } = await tenants.withTenant(applicationId, async (tx, sql) => {
        const read = () => readImport(sql, applicationId, importId);
        const once = await oncePerKey<ImportRow>(request, sql, {
          run: async () => {
            await cancelImport(tx, applicationId, importId, actorOf(request));
            return { status: 200, resourceId: importId, result: there(await read()) };
          },
          replay: read,
        });
        return { outcome: once, sealer: tx.sealer };
      });
      answerWith(reply, outcome);
      return importBody(outcome.result, applicationId, sealer);
    },
  });
}

function uploadRoute(scope: FastifyInstance, { tenants }: AppDeps): void {
  scope.route({
    method: 'POST',
    url: '/v3/session/imports/',
    config: { needs: writes, contract: importContracts.create, bodySeconds: 300, bodyBytesPerSecond: 4_096 },
    handler: (request, reply) => whileThereIsRoom(request, reply, () => upload(request, reply)),
  });

  async function upload(request: FastifyRequest, reply: FastifyReply) {
    const { applicationId, keyId } = callerOf(request);
    const { fields, filename, file: sent } = await readUpload(request);
    const form = orThrow(check(uploadForm, { ...fields, file: sent }));
    const { import_type: importType, provider, workflow_id: named, file } = form;
    const { outcome, sealer } = await tenants.withTenant(applicationId, async (tx, sql) => {
      const once = await oncePerKey<ImportRow>(request, sql, {
        run: async () => {
          const settled = await settle(sql, applicationId, importType, named);
          const problems = file.columns === null ? [] : headerProblems(importType, file.columns);
          if (problems.length > 0) throw unfit(...problems);
          // The last check: from here to the commit, no other import of the application is opened.
          if ((await lockOpenImports(sql, applicationId)) >= MAX_OPEN) throw new Refusal('too_many_imports');
          const order = {
            ...settled,
            applicationId,
            importType,
            provider,
            filename,
            format: file.format,
            parts: file.parts,
            totalBytes: file.bytes,
            createdBy: keyId,
          };
          const importId = openImport(tx, order, actorOf(request));
          const result = there(await readImport(sql, applicationId, importId));
          return { status: 201, resourceId: importId, result };
        },
        replay: (importId) => readImport(sql, applicationId, importId),
      });
      return { outcome: once, sealer: tx.sealer };
    });
    answerWith(reply, outcome);
    return importBody(outcome.result, applicationId, sealer);
  }
}

/** Contract row 12: the workflow named, else the application's default of the kind. */
async function settle(
  sql: Transaction,
  applicationId: string,
  importType: ImportType,
  named: string | undefined,
): Promise<Pick<ImportOrder, 'environment' | 'workflow'>> {
  const kind = IMPORTED_KIND[importType];
  const [{ environment, deleted, defaultWorkflow }, chosen] = await Promise.all([
    importDefaults(sql, applicationId, kind),
    named === undefined ? null : findVerificationWorkflow(sql, applicationId, named),
  ]);
  if (deleted) throw new Refusal('application_deleted');
  if (named === undefined) {
    if (defaultWorkflow === null) throw new Refusal('workflow_required', { field: 'workflow_id' });
    return { environment, workflow: defaultWorkflow };
  }
  if (chosen === null) throw new Refusal('workflow_not_found', { field: 'workflow_id' });
  if (chosen.kind !== kind) {
    const detail = `This verification workflow is of the other kind: ${importType} needs a ${kind === 'user' ? 'KYC' : 'KYB'} workflow.`;
    throw new Refusal('workflow_kind_mismatch', { field: 'workflow_id', detail });
  }
  return { environment, workflow: { workflowId: chosen.workflowId, version: chosen.version } };
}

function there(row: ImportRow | null): ImportRow {
  if (row === null) throw new Error('an import that was written is there');
  return row;
}

function importBody(row: ImportRow, applicationId: string, sealer: PayloadSealer) {
  return {
    uuid: row.importId,
    status: row.status,
    import_type: row.importType,
    provider: row.provider,
    workflow_id: row.workflowId,
    source_filename:
      row.sourceFilename === null
        ? null
        : sealer.openPayload(importSeal(applicationId, row.importId, 'import_filename'), row.sourceFilename),
    total_rows: row.totalRows,
    processed_rows: row.processedRows,
    created_count: row.createdCount,
    updated_count: row.updatedCount,
    skipped_count: row.skippedCount,
    failed_count: row.failedCount,
    checkpoint_row: row.checkpointRow,
    total_media_bytes: row.totalMediaBytes,
    last_error: row.lastError,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    started_at: row.startedAt,
    completed_at: row.completedAt,
  };
}

interface ErrorItem {
  readonly row_number: number;
  readonly external_id: string | null;
  readonly error: string;
  readonly raw_row: JsonValue;
}

function errorItem(
  { row, payload }: ImportErrorRow,
  applicationId: string,
  importId: string,
  sealer: PayloadSealer,
): ErrorItem {
  const stored = sealer.openPayload(importSeal(applicationId, importId, 'import_error', row), payload);
  const { externalId, error, raw } = stored as { externalId: string | null; error: string; raw: JsonValue };
  return { row_number: row, external_id: externalId, error, raw_row: raw };
}

const LINES_AT_A_TIME = 200;

/** Every bad row of an import, as lines of a CSV file. */
async function* errorLines(
  { tenants }: AppDeps,
  applicationId: string,
  importId: string,
): AsyncGenerator<string, void> {
  yield csvLines([['row_number', 'external_id', 'error', 'raw_row']]);
  let after = 0;
  for (;;) {
    const items = await tenants.withTenant(applicationId, async (tx, sql) =>
      (await nextImportErrors(sql, applicationId, importId, after, LINES_AT_A_TIME)).map((row) =>
        errorItem(row, applicationId, importId, tx.sealer),
      ),
    );
    yield csvLines(
      items.map((item) => [
        String(item.row_number),
        harmless(item.external_id ?? ''),
        harmless(item.error),
        harmless(typeof item.raw_row === 'string' ? item.raw_row : JSON.stringify(item.raw_row)),
      ]),
    );
    const last = items.at(-1);
    if (last === undefined || items.length < LINES_AT_A_TIME) return;
    after = last.row_number;
  }
}

/** A spreadsheet takes a cell that begins so for a formula. */
function harmless(cell: string): string {
  return /^[=+\-@\t\r＝＋－＠]/.test(cell) ? `'${cell}` : cell;
}
