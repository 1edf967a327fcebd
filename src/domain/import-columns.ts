import type { DecisionProblem } from './decision-intake.ts';
import { cellProblems, checkStatusProblems } from './import-cells.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';
import type { ImportType } from './session-import.ts';
import { parseStatus, type SessionStatus } from './session-status.ts';
import { problemLine, readJson } from './strict-json.ts';

/** Columns that say something of the session itself, under the names of a decision document. */
const SESSION_COLUMNS = ['external_id', 'status', 'vendor_data', 'created_at', 'expires_at'] as const;

/** Columns of a person's identity document, under the names of `id_verifications`. */
const DOCUMENT_COLUMNS = [
  'first_name',
  'last_name',
  'date_of_birth',
  'gender',
  'nationality',
  'address',
  'document_type',
  'document_number',
  'personal_number',
  'issuing_state',
  'date_of_issue',
  'expiration_date',
] as const;

/** Columns of a company, under the names of `registry_checks[].company`. */
const COMPANY_COLUMNS = [
  'company_name',
  'registration_number',
  'country_code',
  'company_type',
  'incorporation_date',
  'registered_address',
  'tax_number',
  'website',
] as const;

const CONTACT_COLUMNS = ['email', 'phone_number'] as const;

/** Columns that hold JSON: the owner's metadata, and whatever of the decision document has no column. */
const JSON_COLUMNS = ['metadata_json', 'decision_json'] as const;

/** Every column that a CSV file may have, in the template's order. */
export const IMPORT_COLUMNS: Readonly<Record<ImportType, readonly string[]>> = {
  user_verification: [...SESSION_COLUMNS, ...DOCUMENT_COLUMNS, ...CONTACT_COLUMNS, ...JSON_COLUMNS],
  business_verification: [...SESSION_COLUMNS, ...COMPANY_COLUMNS, ...CONTACT_COLUMNS, ...JSON_COLUMNS],
};

/**
 * What is wrong with the header of a CSV file.
 *
 * @param columns as {@link columnName} wrote them
 * @returns sentences; none when the file can be read
 */
export function headerProblems(importType: ImportType, columns: readonly string[]): string[] {
  const known = new Set(IMPORT_COLUMNS[importType]);
  const present = new Set(columns);
  const problems: string[] = [];
  const unknown = [...present].filter((column) => !known.has(column));
  if (unknown.length > 0) {
    const names = unknown.slice(0, 5).map((name) => `"${name.slice(0, 50)}"`);
    problems.push(`Unknown columns: ${names.join(', ')}. Known are ${[...known].join(', ')}, separated by commas.`);
  }
  const twice = twiceIn(columns);
  if (twice !== undefined) problems.push(`The column "${twice.slice(0, 50)}" is there twice: remove one.`);
  for (const needed of ['external_id', 'status']) {
    if (!present.has(needed)) problems.push(`The column ${needed} is missing: download the template and fill it.`);
  }
  return problems;
}

function twiceIn(columns: readonly string[]): string | undefined {
  const before = new Set<string>();
  return columns.find((column) => {
    const isTwice = before.has(column);
    before.add(column);
    return isTwice;
  });
}

/** A column's name as we look it up. */
export function columnName(cell: string): string {
  return cell.trim().toLowerCase();
}

/** Cells that are filled in, by column. */
type Cells = Readonly<Record<string, string>>;

/** A row of a CSV file as a decision document, as far as it can be read, and what is wrong with its cells. */
export interface DocumentReading {
  readonly document: JsonObject;
  readonly problems: readonly DecisionProblem[];
}

/**
 * Makes a decision document of the cells. An empty cell says nothing. A cell wins over the same field of
 * `decision_json`; a check that `decision_json` has wins over the one that the cells would make.
 */
export function documentOf(importType: ImportType, cells: ReadonlyMap<string, string>): DocumentReading {
  const filled = (names: readonly string[]): Cells =>
    Object.fromEntries(
      names.map((name) => [name, cells.get(name)?.trim() ?? ''] as const).filter(([, cell]) => cell !== ''),
    );
  const { metadata_json, decision_json } = filled(JSON_COLUMNS);
  const problems = cellProblems(filled(IMPORT_COLUMNS[importType]));
  const read = (field: string, text: string | undefined): JsonValue => {
    const reading = readJson(text ?? 'null');
    if (reading.ok) return reading.value;
    problems.push({ field, message: problemLine(reading.problem, 'It') });
    return null;
  };
  const metadata = read('metadata_json', metadata_json);
  const given = read('decision_json', decision_json) ?? {};
  if (!isJsonObject(given)) {
    problems.push({ field: 'decision_json', message: 'It is not a JSON object: write one, or leave it empty.' });
  }
  const decision = isJsonObject(given) ? given : {};
  problems.push(...checkStatusProblems(decision));

  const session = filled(SESSION_COLUMNS);
  const status = featureStatus(session['status'] ?? decision['status']);
  const { email, phone_number } = filled(CONTACT_COLUMNS);
  const checks: JsonObject = {
    ...(importType === 'user_verification'
      ? identityCheck(filled(DOCUMENT_COLUMNS), status)
      : registryCheck(filled(COMPANY_COLUMNS), status)),
    ...(email !== undefined && { email_verifications: [{ status, email }] }),
    ...(phone_number !== undefined && { phone_verifications: [{ status, full_number: phone_number }] }),
  };
  return {
    document: { ...checks, ...decision, ...session, ...(metadata !== null && { metadata }) },
    problems,
  };
}

function identityCheck(document: Cells, status: string): JsonObject {
  if (Object.keys(document).length === 0) return {};
  const names = [document['first_name'], document['last_name']].filter((name) => name !== undefined);
  return {
    id_verifications: [{ status, ...document, ...(names.length > 0 && { full_name: names.join(' ') }) }],
  };
}

function registryCheck(company: Cells, status: string): JsonObject {
  return Object.keys(company).length === 0 ? {} : { registry_checks: [{ status, company }] };
}

/** What the session's status says of its checks; a status that is none is told by whoever reads the document. */
function featureStatus(value: JsonValue | undefined): string {
  const status: SessionStatus | null = typeof value === 'string' ? parseStatus(value) : null;
  switch (status) {
    case 'Approved':
    case 'Declined':
    case 'In Review':
    case 'Expired':
      return status;
    case 'Kyc Expired':
      return 'Expired';
    case 'Not Started':
    case 'In Progress':
    case 'Awaiting User':
    case 'Resubmitted':
    case 'Abandoned':
    case null:
      return 'Not Finished';
  }
}
