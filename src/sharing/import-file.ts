import type { SessionKind } from '../domain/decision-categories.ts';
import { readRow, refusedRow, type BadRow, type GoodRow } from '../domain/import-rows.ts';
import type { Actor } from '../domain/events.ts';
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
  FilesAhead,
  FileTaker,
  HandoffTransaction,
  ImportJob,
  KeyedSession,
  NewSession,
  SealContext,
  WorkflowVersion,
} from './ports.ts';
import { createdChange } from './session-changes.ts';
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
export function openImport(tx: HandoffTransaction, order: ImportOrder, actor: Actor): string {
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
  tx.events.record([{ type: 'session_import.started', applicationId, subjectId: importId }], actor);
  tx.wishImport(importId);
  return importId;
}

/** Runs `work` in one transaction. */
export type InTransaction = <T>(work: (tx: HandoffTransaction) => Promise<T>) => Promise<T>;

/**
 * Takes one part of a file in. Its files are stored first, outside any transaction; then one transaction takes the rows in
 * and counts them: a part whose turn it is not changes nothing, so that a crash neither loses nor doubles a row. An
 * `external_id` that is there already, also from the same file, is skipped. Imports tell nobody: what
 * they do stands in the audit trail alone.
 *
 * @returns how far the import has come
 */
export async function takePartIn(
  inTransaction: InTransaction,
  importId: string,
  position: number,
  fileTaker: FileTaker,
): Promise<ImportProgress> {
  const read = await inTransaction((tx) => readPart(tx, importId, position));
  if ('status' in read) return read;
  const fresh = read.good.filter(({ externalId }) => !read.stored.has(externalId));
  const taken = await fileTaker.takeFiles(fresh.map(({ session, content: { checks } }) => ({ session, checks })));
  const filed = new Map(fresh.map(({ row }, index) => [row, taken[index]]));
  return inTransaction((tx) => insertPart(tx, importId, position, read, filed));
}

/** A row with the session that it is to become. */
interface KeyedRow extends GoodRow {
  readonly session: KeyedSession;
}

/** A part whose rows were read, and what was stored under their external ids then. */
interface PartRead {
  readonly good: readonly KeyedRow[];
  readonly bad: readonly BadRow[];
  readonly lastRow: number;
  readonly stored: ReadonlyMap<string, SessionKind>;
}

async function readPart(
  tx: HandoffTransaction,
  importId: string,
  position: number,
): Promise<PartRead | ImportProgress> {
  // In this order: what takes a part away moves the import on.
  const [job, sealed] = await Promise.all([tx.imports.look(importId), tx.imports.readPart(importId, position)]);
  if (job === null) return UNKNOWN_IMPORT;
  if (!isTurnOf(job, position)) return job.progress;
  if (sealed === null) throw new Error('a part whose turn it is has its bytes');
  const { applicationId, importType } = job;
  const part = tx.sealer.openPayload(
    importSeal(applicationId, importId, 'import_part', position),
    sealed,
  ) as unknown as FilePart;
  const readings = part.rows.map((row) => readRow(importType, part.columns, row));
  const good = readings.flatMap((reading) =>
    reading.ok ? [{ ...reading.good, session: keyedSession(tx, applicationId) }] : [],
  );
  return {
    good,
    bad: readings.flatMap((reading) => (reading.ok ? [] : [reading.bad])),
    lastRow: part.rows.at(-1)?.row ?? 0,
    stored: await tx.sessions.storedKinds(
      applicationId,
      good.map(({ externalId }) => externalId),
    ),
  };
}

function keyedSession(tx: HandoffTransaction, applicationId: string): KeyedSession {
  const session = { applicationId, sessionId: tx.newId() };
  return { ...session, key: tx.sealer.newDataKey(session) };
}

function isTurnOf({ progress }: ImportJob, position: number): boolean {
  return !hasEnded(progress.status) && progress.nextPart === position;
}

async function insertPart(
  tx: HandoffTransaction,
  importId: string,
  position: number,
  read: PartRead,
  filed: ReadonlyMap<number, FiledRow | undefined>,
): Promise<ImportProgress> {
  const job = await tx.imports.lock(importId);
  if (job === null) return UNKNOWN_IMPORT;
  if (!isTurnOf(job, position)) return job.progress;
  const { applicationId } = job;
  const actor: Actor = { kind: 'session_import', id: importId };
  const facts = await tx.sessions.takeInManyFacts(
    applicationId,
    read.good.map(({ externalId }) => externalId),
  );
  if (facts.deleted) return ended(tx, importId, applicationId, 'failed', 'application_deleted', actor);

  // What was there when its files were not stored counts as there, also when it was deleted since.
  const stored = new Map([...read.stored, ...facts.stored]);
  const bad = [...read.bad];
  const complete: CompleteRow[] = [];
  let skipped = 0;
  for (const row of read.good) {
    const refusal = refusalOf(row, job, stored);
    const taken = filed.get(row.row);
    if (refusal !== null) bad.push(refusedRow(row, refusal));
    else if (taken === undefined || stored.has(row.externalId)) skipped += 1;
    else if ('problem' in taken) bad.push(refusedRow(row, taken.problem));
    else {
      stored.set(row.externalId, row.content.kind);
      const content = { ...row.content, checks: taken.checks };
      complete.push({ session: row.session, content, files: taken.files });
    }
  }
  await insertSessions(tx, job, facts.now, complete, actor);
  const progress = await tx.imports.finishPart(importId, applicationId, position, {
    created: complete.length,
    skipped,
    mediaBytes: complete.flatMap(({ files }) => files).reduce((sum, { byteLength }) => sum + (byteLength ?? 0), 0),
    lastRow: read.lastRow,
    errors: bad.map(({ row, ...error }) => ({
      row,
      payload: tx.sealer.sealPayload(importSeal(applicationId, importId, 'import_error', row), { ...error }),
    })),
  });
  if (progress.status === 'completed') {
    tx.events.record([{ type: 'session_import.completed', applicationId, subjectId: importId }], actor);
  }
  return progress;
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
  actor: Actor,
): Promise<ImportProgress> {
  const job = await tx.imports.lock(importId);
  if (job === null) return UNKNOWN_IMPORT;
  return hasEnded(job.progress.status) ? job.progress : ended(tx, importId, job.applicationId, as, why, actor);
}

async function ended(
  tx: HandoffTransaction,
  importId: string,
  applicationId: string,
  as: 'failed' | 'cancelled',
  why: ImportFailure,
  actor: Actor,
): Promise<ImportProgress> {
  const type = `session_import.${as}` as const;
  tx.events.record([{ type, applicationId, subjectId: importId, reason: why }], actor);
  return tx.imports.end(importId, applicationId, as, why);
}

/**
 * Cancels an application's own import; one that is cancelled already stays so.
 *
 * @throws {Refusal} `not_found`, `import_ended`
 */
export async function cancelImport(
  tx: HandoffTransaction,
  applicationId: string,
  importId: string,
  actor: Actor,
): Promise<void> {
  const job = await tx.imports.lock(importId, applicationId);
  if (job === null) throw new Refusal('not_found');
  const { status } = job.progress;
  if (status === 'cancelled') return;
  if (hasEnded(status)) throw new Refusal('import_ended', { extra: { status } });
  await ended(tx, importId, applicationId, 'cancelled', 'cancelled', actor);
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

/** What became of a row's files. */
type FiledRow = Awaited<ReturnType<FileTaker['takeFiles']>>[number];

/** A row whose files are stored. */
interface CompleteRow extends FilesAhead {
  readonly content: DecisionContent;
}

async function insertSessions(
  tx: HandoffTransaction,
  job: ImportJob,
  now: string,
  rows: readonly CompleteRow[],
  actor: Actor,
): Promise<void> {
  const { applicationId, environment, workflow } = job;
  const sessions = rows.map(({ session: { sessionId, key }, content }): NewSession => {
    const session = newSession(tx, applicationId, content, { environment, now, workflow }, sessionId);
    return {
      session,
      content: sealContent(tx, session, content, key),
      searchTerms: searchTermsOf(tx, applicationId, content.checks),
    };
  });
  // Being blocked keeps others' records out, not one's own.
  const touched = tx.sessions.touchEntities(
    applicationId,
    sessions.map(({ session }) => session),
  );
  tx.events.record(
    sessions.map(({ session }) => createdChange(session, 'session_import')),
    actor,
  );
  tx.sessions.insertContents(applicationId, sessions);
  for (const [index, { session }] of sessions.entries()) tx.sessions.insertMedia(session, rows[index]?.files ?? []);
  await touched;
}
