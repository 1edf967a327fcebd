import { readRow, refusedRow, type BadRow, type GoodRow } from '../domain/import-rows.ts';
import { FAILURES, Refusal } from '../domain/failures.ts';
import {
  hasEnded,
  IMPORTED_KIND,
  UNKNOWN_IMPORT,
  type FilePart,
  type ImportFailure,
  type ImportFormat,
  type ImportProgress,
  type ImportType,
} from '../domain/session-import.ts';
import type { JsonValue } from '../domain/json.ts';
import type { DecisionContent } from '../domain/decision-intake.ts';
import type {
  Environment,
  FileTaker,
  HandoffTransaction,
  ImportJob,
  NewSession,
  SealContext,
  SessionFile,
  WorkflowVersion,
} from './ports.ts';
import { searchTermsOf, sealContent } from './store-content.ts';
import { newSession } from './take-in.ts';

/** What an upload asks for, its file cut into parts. */
export interface ImportOrder {
  readonly applicationId: string;
  readonly environment: Environment;
  readonly importType: ImportType;
  readonly provider: string;
  readonly workflow: WorkflowVersion;
  readonly filename: string | null;
  readonly format: ImportFormat;
  readonly parts: readonly FilePart[];
  /** Of the file. */
  readonly totalBytes: number;
  /** Id of the API key. */
  readonly createdBy: string;
}

/** What the sealed bytes of an import are bound to. */
export function importSeal(
  applicationId: string,
  importId: string,
  what: 'import_part' | 'import_error' | 'import_filename',
  position = 0,
): SealContext {
  return { applicationId, sessionId: importId, category: what, position };
}

/** Writes an import with its file, and asks for its run. Resolves to its id. */
export function openImport(tx: HandoffTransaction, order: ImportOrder): string {
  const importId = tx.newId();
  const { applicationId, filename, format, parts, ...columns } = order;
  tx.imports.insert({
    ...columns,
    importId,
    applicationId,
    fileFormat: format,
    sourceFilename:
      filename === null
        ? null
        : tx.sealer.sealPayload(importSeal(applicationId, importId, 'import_filename'), filename),
    totalRows: parts.reduce((sum, { rows }) => sum + rows.length, 0),
    parts: parts.map((part, position) =>
      tx.sealer.sealPayload(importSeal(applicationId, importId, 'import_part', position), part as unknown as JsonValue),
    ),
  });
  tx.wishImport(importId);
  return importId;
}

/**
 * Takes one part of a file in, in the transaction that also counts it: a part whose turn it is not changes nothing, so
 * that a crash neither loses nor doubles a row. An `external_id` that is there already, also from the same file, is
 * skipped. Imports tell nobody: no event is written.
 *
 * @returns how far the import has come
 */
export async function takePartIn(
  tx: HandoffTransaction,
  importId: string,
  position: number,
  fileTaker: FileTaker,
): Promise<ImportProgress> {
  const [job, sealed] = await Promise.all([tx.imports.lock(importId), tx.imports.readPart(importId, position)]);
  if (job === null) return UNKNOWN_IMPORT;
  if (hasEnded(job.progress.status) || job.progress.nextPart !== position) return job.progress;
  if (sealed === null) throw new Error('a part whose turn it is has its bytes');

  const { applicationId } = job;
  const part = tx.sealer.openPayload(
    importSeal(applicationId, importId, 'import_part', position),
    sealed,
  ) as unknown as FilePart;
  const bad: BadRow[] = [];
  const good: GoodRow[] = [];
  for (const row of part.rows) {
    const reading = readRow(job.importType, part.columns, row);
    if (reading.ok) good.push(reading.good);
    else bad.push(reading.bad);
  }
  const facts = await tx.sessions.takeInManyFacts(
    applicationId,
    good.map(({ externalId }) => externalId),
  );
  if (facts.deleted) return tx.imports.end(importId, applicationId, 'failed', 'application_deleted');

  const stored = new Map(facts.stored);
  const fresh: GoodRow[] = [];
  let skipped = 0;
  for (const row of good) {
    const refusal = refusalOf(row, job, stored);
    if (refusal !== null) bad.push(refusedRow(row, refusal));
    else if (stored.has(row.externalId)) skipped += 1;
    else {
      stored.set(row.externalId, row.content.kind);
      fresh.push(row);
    }
  }
  const taken = await fileTaker.takeFiles(fresh.map(({ content }) => content.checks));
  const complete: CompleteRow[] = [];
  for (const [index, row] of fresh.entries()) {
    const one = taken[index];
    if (one === undefined) throw new Error('every document is answered for');
    if ('problem' in one) bad.push(refusedRow(row, one.problem));
    else complete.push({ content: { ...row.content, checks: one.checks }, files: one.files });
  }
  await insertSessions(tx, job, facts.now, complete);
  return tx.imports.finishPart(importId, applicationId, position, {
    created: complete.length,
    skipped,
    lastRow: part.rows.at(-1)?.row ?? 0,
    errors: bad.map(({ row, ...error }) => ({
      row,
      payload: tx.sealer.sealPayload(importSeal(applicationId, importId, 'import_error', row), { ...error }),
    })),
  });
}

/**
 * Ends an import that is still open; the rows that are in stay.
 *
 * @returns how it stands then: `completed` when it was too late
 */
export async function endImport(
  tx: HandoffTransaction,
  importId: string,
  as: 'failed' | 'cancelled',
  why: ImportFailure,
): Promise<ImportProgress> {
  const job = await tx.imports.lock(importId);
  if (job === null) return UNKNOWN_IMPORT;
  return hasEnded(job.progress.status) ? job.progress : tx.imports.end(importId, job.applicationId, as, why);
}

/**
 * Cancels an application's own import; one that is cancelled already stays so.
 *
 * @throws {Refusal} `not_found`, `import_ended`
 */
export async function cancelImport(tx: HandoffTransaction, applicationId: string, importId: string): Promise<void> {
  const job = await tx.imports.lock(importId, applicationId);
  if (job === null) throw new Refusal('not_found');
  const { status } = job.progress;
  if (status === 'cancelled') return;
  if (hasEnded(status)) throw new Refusal('import_ended', { extra: { status } });
  await tx.imports.end(importId, applicationId, 'cancelled', 'cancelled');
}

function refusalOf(
  { content, externalId }: GoodRow,
  job: ImportJob,
  stored: ReadonlyMap<string, string>,
): string | null {
  const { environment } = job;
  if (content.environment !== null && content.environment !== environment) {
    return `environment: This import is in ${environment}. Leave the field out, or send "${environment}".`;
  }
  const kind = stored.get(externalId);
  if (kind !== undefined && kind !== IMPORTED_KIND[job.importType]) {
    return `external_id: ${FAILURES.external_id_conflict.detail}`;
  }
  return null;
}

/** A row whose files are stored. */
interface CompleteRow {
  readonly content: DecisionContent;
  readonly files: readonly SessionFile[];
}

async function insertSessions(
  tx: HandoffTransaction,
  job: ImportJob,
  now: string,
  rows: readonly CompleteRow[],
): Promise<void> {
  const { applicationId, environment, workflow } = job;
  const sessions = rows.map(({ content }): NewSession => {
    const session = newSession(tx, applicationId, content, { environment, now, workflow });
    return {
      session,
      content: sealContent(tx, session, content),
      searchTerms: searchTermsOf(tx, applicationId, content.checks),
    };
  });
  // Being blocked keeps others' records out, not one's own.
  const touched = tx.sessions.touchEntities(
    applicationId,
    sessions.map(({ session }) => session),
  );
  tx.sessions.insertContents(applicationId, sessions);
  for (const [index, { session }] of sessions.entries()) tx.sessions.insertMedia(session, rows[index]?.files ?? []);
  await touched;
}
