import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';
import type { ImportType } from './session-import.ts';
import { parseStatus, type SessionStatus } from './session-status.ts';

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
  const known = IMPORT_COLUMNS[importType];
  const problems: string[] = [];
  const unknown = columns.filter((column) => !known.includes(column));
  if (unknown.length > 0) {
    const names = unknown.slice(0, 5).map((name) => `"${name.slice(0, 50)}"`);
    problems.push(`Unknown columns: ${names.join(', ')}. Known are ${known.join(', ')}, separated by commas.`);
  }
  const twice = columns.filter((column, index) => known.includes(column) && columns.indexOf(column) !== index);
  if (twice.length > 0) problems.push(`The column ${twice[0] ?? ''} is there twice: remove one.`);
  for (const needed of ['external_id', 'status']) {
    if (!columns.includes(needed)) problems.push(`The column ${needed} is missing: download the template and fill it.`);
  }
  return problems;
}

/** A column's name as we look it up. */
export function columnName(cell: string): string {
  return cell.trim().toLowerCase();
}

/** Cells that are filled in, by column. */
type Cells = Readonly<Record<string, string>>;

/** A row of a CSV file as a decision document, or what is wrong with it. */
export type DocumentReading =
  | { readonly ok: true; readonly document: JsonObject }
  | { readonly ok: false; readonly problem: string };

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
  const decision = objectOf(decision_json);
  if (decision === null)
    return { ok: false, problem: 'decision_json: It is not a JSON object: write one, or leave it empty.' };
  const metadata = jsonOf(metadata_json);
  if (metadata === undefined)
    return { ok: false, problem: 'metadata_json: It is not JSON: write JSON, or leave it empty.' };

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
    ok: true,
    document: { ...checks, ...decision, ...session, ...(metadata !== null && { metadata }) },
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
    case 'Not Started':
      return status;
    case 'Kyc Expired':
      return 'Expired';
    case 'In Progress':
    case 'Awaiting User':
    case 'Resubmitted':
    case 'Abandoned':
    case null:
      return 'Not Finished';
  }
}

function objectOf(text: string | undefined): JsonObject | null {
  const value = jsonOf(text);
  if (value === null) return {};
  return isJsonObject(value) ? value : null;
}

/** `null` for an empty cell, `undefined` for what is no JSON. */
function jsonOf(text: string | undefined): JsonValue | undefined {
  if (text === undefined) return null;
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}
