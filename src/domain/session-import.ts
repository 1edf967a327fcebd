import type { SessionKind } from './decision-categories.ts';

/** What a file of sessions holds. */
export const IMPORT_TYPES = ['user_verification', 'business_verification'] as const;
export type ImportType = (typeof IMPORT_TYPES)[number];

/** How a file of sessions is written: a header line and columns, or one JSON object a line. */
export const IMPORT_FORMATS = ['csv', 'ndjson'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

export const IMPORT_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;
export type ImportStatus = (typeof IMPORT_STATUSES)[number];

/** Kind of the sessions in a file. */
export const IMPORTED_KIND: Readonly<Record<ImportType, SessionKind>> = {
  user_verification: 'user',
  business_verification: 'business',
};

/** Why an import ended before its last row, as its row has it. */
export const IMPORT_FAILURES = {
  application_deleted: 'The application was deleted.',
  cancelled: 'Cancelled before its last row; the rows until then are in.',
  run_terminated: 'Stopped by an operator before its last row; upload the file again for the rest.',
  run_failed: 'The rows could not be taken in for technical reasons; upload the file again for the rest.',
} as const;
export type ImportFailure = keyof typeof IMPORT_FAILURES;

/** How far an import has come: numbers only. `unknown` is an id without an import. */
export interface ImportProgress {
  readonly status: ImportStatus | 'unknown';
  /** Index of the part that comes next. */
  readonly nextPart: number;
  readonly totalRows: number;
  readonly processedRows: number;
  readonly createdCount: number;
  readonly skippedCount: number;
  readonly failedCount: number;
}

/** Where an import without a row stands. */
export const UNKNOWN_IMPORT: ImportProgress = {
  status: 'unknown',
  nextPart: 0,
  totalRows: 0,
  processedRows: 0,
  createdCount: 0,
  skippedCount: 0,
  failedCount: 0,
};

/** Whether nothing more comes of an import. */
export function hasEnded(status: ImportProgress['status']): boolean {
  return status !== 'pending' && status !== 'processing';
}

/** One row of a file, not looked into yet. */
export interface FileRow {
  /** As an editor or a spreadsheet counts: the line of an NDJSON file, the row of a CSV file whose header is row 1. */
  readonly row: number;
  /** The line of an NDJSON file; of a row that is too long, its beginning. */
  readonly text?: string;
  /** The cells of a CSV row. */
  readonly cells?: readonly string[];
  /** Set when the row cannot be taken in whatever it holds: why, and how to mend it. */
  readonly problem?: string;
}

/** A run of rows, taken in in one transaction. */
export interface FilePart {
  /** Names of a CSV file's columns; `null` for NDJSON. */
  readonly columns: readonly string[] | null;
  readonly rows: readonly FileRow[];
}
