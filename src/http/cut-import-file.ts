import { createHash, type Hash } from 'node:crypto';
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CsvError, parse } from 'csv-parse';
import { columnName } from '../domain/import-columns.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import type { FilePart, FileRow, ImportFormat } from '../domain/session-import.ts';

/** Largest file of sessions, in bytes. */
export const MAX_IMPORT_BYTES = 25 * 1024 * 1024;
/** Most rows of a file, its header aside. */
export const MAX_IMPORT_ROWS = 250_000;

const MAX_COLUMNS = 200;
const MAX_HEADER_CHARACTERS = 16 * 1024;
const MAX_ROW_CHARACTERS = 1024 * 1024;
const PART_ROWS = 200;
const PART_CHARACTERS = 512 * 1024;
const SHOWN_CHARACTERS = 1_000;

const TOO_LONG = 'The row is longer than 1 MiB: shorten it.';

/** A file of sessions, cut between its rows. */
export interface CutFile {
  readonly format: ImportFormat;
  /** Names of a CSV file's columns, lower case; `null` for NDJSON. */
  readonly columns: readonly string[] | null;
  /** At least one, each with at least one row. */
  readonly parts: readonly FilePart[];
  readonly bytes: number;
  readonly sha256: Buffer;
}

/** What was said of a file besides its bytes. */
export interface FileHint {
  readonly filename: string | null;
  readonly contentType: string | null;
}

/**
 * Reads a file of sessions as it comes in. What its rows say is left to whoever takes them in: only what makes it no file
 * of rows is refused here.
 *
 * @throws {Refusal} `payload_too_large`; `invalid_request` on `file`, also for too many rows or columns
 */
export async function cutImportFile(source: AsyncIterable<Buffer>, hint: FileHint): Promise<CutFile> {
  const measured = { bytes: 0, hash: createHash('sha256') };
  const texts = textsOf(source, measured);
  const first = await texts.next();
  const begin = first.done === true ? '' : first.value;
  const format = formatOf(hint) ?? (/^\s*\{/.test(begin) ? 'ndjson' : 'csv');
  const whole = continued(begin, texts);

  const parts: FilePart[] = [];
  let columns: readonly string[] | null = null;
  let rows: FileRow[] = [];
  let characters = 0;
  let count = 0;
  const cut = () => {
    if (rows.length > 0) parts.push({ columns, rows });
    rows = [];
    characters = 0;
  };
  for await (const { row, size } of format === 'csv' ? csvRows(whole) : ndjsonRows(whole)) {
    if (format === 'csv' && columns === null) {
      columns = columnsOf(row, size);
      continue;
    }
    count += 1;
    if (count > MAX_IMPORT_ROWS) {
      throw unfit(`The file has more than ${MAX_IMPORT_ROWS.toLocaleString('en')} rows: split it.`);
    }
    if (rows.length >= PART_ROWS || characters + size > PART_CHARACTERS) cut();
    rows.push(columns === null ? row : matching(row, columns));
    characters += size;
  }
  cut();
  if (parts.length === 0) {
    throw unfit(columns === null ? 'The submitted file is empty.' : 'The file has a header and no rows: add some.');
  }
  return { format, columns, parts, bytes: measured.bytes, sha256: measured.hash.digest() };
}

/** A refusal of the file itself. */
export function unfit(...sentences: string[]): Refusal {
  return invalidFields({ file: sentences });
}

interface SizedRow {
  readonly row: FileRow;
  /** Characters. */
  readonly size: number;
}

async function* textsOf(
  source: AsyncIterable<Buffer>,
  measured: { bytes: number; readonly hash: Hash },
): AsyncGenerator<string, void> {
  // A byte order mark is left out by the decoder.
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  const decode = (chunk?: Buffer) => {
    try {
      return utf8.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw notUtf8();
    }
  };
  let begun = 0;
  for await (const chunk of source) {
    measured.bytes += chunk.length;
    if (measured.bytes > MAX_IMPORT_BYTES) {
      throw new Refusal('payload_too_large', { detail: 'The file is larger than 25 MB: split it.' });
    }
    measured.hash.update(chunk);
    const text = decode(chunk);
    // Text in UTF-16 may be readable as UTF-8, with a NUL beside every letter.
    if (begun < MAX_HEADER_CHARACTERS && text.slice(0, MAX_HEADER_CHARACTERS - begun).includes('\0')) throw notUtf8();
    begun += text.length;
    if (text !== '') yield text;
  }
  yield decode();
}

function notUtf8(): Refusal {
  return unfit('The file is not UTF-8: save it as CSV or NDJSON in UTF-8.');
}

async function* continued(begin: string, rest: AsyncIterable<string>): AsyncGenerator<string, void> {
  yield begin;
  yield* rest;
}

function formatOf({ filename, contentType }: FileHint): ImportFormat | null {
  switch (extname(filename ?? '').toLowerCase()) {
    case '.csv':
      return 'csv';
    case '.ndjson':
    case '.jsonl':
      return 'ndjson';
    default:
      break;
  }
  if (/^text\/csv\b/i.test(contentType ?? '')) return 'csv';
  return /^application\/(x-)?(nd|l)?json(l|-lines|-seq)?\b/i.test(contentType ?? '') ? 'ndjson' : null;
}

async function* ndjsonRows(texts: AsyncIterable<string>): AsyncGenerator<SizedRow, void> {
  let line = 0;
  let rest = '';
  for await (const text of texts) {
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      line += 1;
      // Of empty lines there may be millions, of which each must cost next to nothing.
      const row = end === from && rest === '' ? null : lineRow(line, rest + text.slice(from, end));
      if (row !== null) yield row;
      rest = '';
      from = end + 1;
    }
    // Of a line that is too long, this much is enough to know so.
    if (rest.length <= MAX_ROW_CHARACTERS) rest += text.slice(from);
  }
  const last = lineRow(line + 1, rest);
  if (last !== null) yield last;
}

/** A line as a row; `null` when nothing stands on it. */
function lineRow(line: number, text: string): SizedRow | null {
  if (text.length > MAX_ROW_CHARACTERS) {
    return { row: { row: line, text: text.slice(0, SHOWN_CHARACTERS), problem: TOO_LONG }, size: SHOWN_CHARACTERS };
  }
  const trimmed = text.trim();
  return trimmed === '' ? null : { row: { row: line, text: trimmed }, size: trimmed.length };
}

async function* csvRows(texts: AsyncIterable<string>): AsyncGenerator<SizedRow, void> {
  const parser = parse({
    info: true,
    skip_empty_lines: true,
    // Told row by row.
    relax_column_count: true,
    // The last is of old spreadsheets.
    record_delimiter: ['\r\n', '\n', '\r'],
  });
  const feeding = pipeline(Readable.from(texts), parser);
  // The reader below fails with it.
  feeding.catch(() => undefined);
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      const size = record.reduce((sum, cell) => sum + cell.length, 0);
      const row = info.records + info.empty_lines;
      yield size > MAX_ROW_CHARACTERS
        ? {
            row: { row, text: shown(record), problem: TOO_LONG },
            size: SHOWN_CHARACTERS,
          }
        : { row: { row, cells: record }, size };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = Number(error['lines']);
    throw unfit(
      `Line ${line} is not CSV: a cell with a comma, a quote or a line break stands in quotes, and a quote in it is doubled.`,
    );
  }
}

/** What the parser gives with `info`. */
interface CsvRecord {
  readonly record: string[];
  readonly info: { readonly records: number; readonly empty_lines: number };
}

/** The names of a CSV file's columns. @throws {Refusal} `invalid_request` on `file` when they are too many to be a header */
function columnsOf({ cells = [], problem }: FileRow, size: number): string[] {
  if (problem !== undefined || cells.length > MAX_COLUMNS || size > MAX_HEADER_CHARACTERS) {
    throw unfit(`The header has more than ${MAX_COLUMNS} columns or 16 KiB: download the template and fill it.`);
  }
  return cells.map(columnName);
}

/** A row with more or fewer cells than the header cannot be told what is what. */
function matching(row: FileRow, columns: readonly string[]): FileRow {
  if (row.cells === undefined || row.cells.length === columns.length) return row;
  const problem = `The row has ${row.cells.length} cells and the header ${columns.length}: give each column one, empty or not.`;
  return { row: row.row, text: shown(row.cells), problem };
}

/** The beginning of a row, however many cells it has. */
function shown(cells: readonly string[]): string {
  return cells.slice(0, SHOWN_CHARACTERS).join(',').slice(0, SHOWN_CHARACTERS);
}
