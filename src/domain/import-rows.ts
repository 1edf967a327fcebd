import { MAX_CHARACTERS, readDecision, type DecisionContent, type DecisionProblem } from './decision-intake.ts';
import { MAX_NESTING } from './decision-parts.ts';
import { documentOf, type DocumentReading } from './import-columns.ts';
import { isJsonObject, nestsDeeper, type JsonObject, type JsonValue } from './json.ts';
import { IMPORTED_KIND, type FilePart, type FileRow, type ImportType } from './session-import.ts';
import { unstorable } from './storable-json.ts';
import { problemLine, readJson, type JsonReading } from './strict-json.ts';

/** A row that can be taken in. Its `external_id` is what makes it one and the same in a second file. */
export interface GoodRow {
  readonly row: number;
  readonly externalId: string;
  readonly content: DecisionContent;
  /** The row as it stood in the file, for whoever finds it wrong after all. */
  readonly raw: JsonValue;
}

/** A row that cannot be taken in. */
export interface BadRow {
  readonly row: number;
  readonly externalId: string | null;
  /** What is wrong and how to mend it. */
  readonly error: string;
  /** The row as it stood in the file: an object where it is one, else its text; its beginning when it is long. */
  readonly raw: JsonValue;
}

export type RowReading = { readonly ok: true; readonly good: GoodRow } | { readonly ok: false; readonly bad: BadRow };

const NO_OBJECT = 'The line is not a JSON object: write one decision document on it.';
const MAX_RAW_CHARACTERS = 16_384;
const MAX_PROBLEMS = 5;
const MAX_ERROR_CHARACTERS = 2_000;

const OTHER_KIND = { user: 'business', business: 'user' } as const;
const NO_EXTERNAL_ID: DecisionProblem = {
  field: 'external_id',
  message: 'It is missing: give your own id of the record, so that no record is taken in twice.',
};
const WRONG_KIND: Readonly<Record<ImportType, string>> = {
  user_verification: 'session_kind: This file is taken in as user_verification: move the company to a file of its own.',
  business_verification:
    'session_kind: This file is taken in as business_verification: move the person to a file of its own.',
};

/** Reads one row as `POST /v1/sessions/` reads its body; the file's type may stand for `session_kind`. Never throws. */
export function readRow(importType: ImportType, columns: FilePart['columns'], row: FileRow): RowReading {
  const cells = columns === null ? null : cellsOf(columns, row);
  const line = cells === null && row.problem === undefined ? readJson(row.text ?? '') : undefined;
  const raw = shortened(cells ?? (line?.ok === true ? line.value : undefined), row.text);
  const bad = (error: string, externalId: string | null = null): RowReading => ({
    ok: false,
    bad: { row: row.row, externalId, error: error.slice(0, MAX_ERROR_CHARACTERS), raw },
  });
  if (row.problem !== undefined) return bad(row.problem);
  const made = cells === null ? lineDocument(line) : documentOf(importType, new Map(Object.entries(cells)));
  if (typeof made === 'string') return bad(made);
  const unfit = unstorable(made.document);
  if (unfit !== null) return bad(unfit);
  const kind = IMPORTED_KIND[importType];
  const document: JsonObject = { session_kind: kind, ...made.document };
  const externalId = shownId(document);
  if (document['session_kind'] === OTHER_KIND[kind]) return bad(WRONG_KIND[importType], externalId);
  const reading = readDecision(document);
  const nameless = (document['external_id'] ?? null) === null ? [NO_EXTERNAL_ID] : [];
  const problems = [...nameless, ...made.problems, ...reading.problems];
  if (!reading.ok || problems.length > 0) return bad(sentence(problems), externalId);
  return { ok: true, good: { row: row.row, externalId: externalId ?? '', content: reading, raw } };
}

/** A good row that turned out to be bad in the store. */
export function refusedRow({ row, externalId, raw }: GoodRow, error: string): BadRow {
  return { row, externalId, error, raw };
}

function cellsOf(columns: readonly string[], { cells }: FileRow): Record<string, string> {
  return Object.fromEntries(columns.map((column, index) => [column, cells?.[index] ?? '']));
}

/** A line as a document, or what is wrong with it. */
function lineDocument(line: JsonReading | undefined): DocumentReading | string {
  if (line === undefined) return NO_OBJECT;
  if (!line.ok) return problemLine(line.problem, 'The line');
  return isJsonObject(line.value) ? { document: line.value, problems: [] } : NO_OBJECT;
}

function shownId(document: JsonObject): string | null {
  const id = document['external_id'];
  return typeof id === 'string' && id !== '' && id.length <= MAX_CHARACTERS.external_id ? id : null;
}

function sentence(problems: readonly DecisionProblem[]): string {
  const told = problems.slice(0, MAX_PROBLEMS).map(({ field, message }) => `${field.slice(0, 100)}: ${message}`);
  const more = problems.length - told.length;
  return `${told.join(' ')}${more > 0 ? ` And ${more} more.` : ''}`;
}

/** The row as it is told of: its text where it is no object or long, without what no reader takes. */
function shortened(value: JsonValue | undefined, text: string = JSON.stringify(value)): JsonValue {
  const whole = value !== undefined && text.length <= MAX_RAW_CHARACTERS && !nestsDeeper(value, MAX_NESTING);
  if (whole && unstorable(value) === null) return value;
  return text.slice(0, MAX_RAW_CHARACTERS).toWellFormed().replaceAll('\0', '\u{fffd}');
}
