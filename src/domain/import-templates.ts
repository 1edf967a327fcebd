import { IMPORT_COLUMNS } from './import-columns.ts';
import type { JsonObject } from './json.ts';
import type { ImportFormat, ImportType } from './session-import.ts';

/** An example row by column; what has no entry is left empty. */
const EXAMPLES: Readonly<Record<ImportType, Readonly<Record<string, string>>>> = {
  user_verification: {
    external_id: 'example-person-1',
    status: 'Approved',
    vendor_data: 'customer-1',
    created_at: '2024-05-17T08:42:11Z',
    first_name: 'Ada',
    last_name: 'Example',
    date_of_birth: '1990-01-31',
    gender: 'F',
    nationality: 'PRT',
    address: 'Rua do Exemplo 1, 1000-001 Lisboa',
    document_type: 'Passport',
    document_number: 'EX0000001',
    issuing_state: 'PRT',
    date_of_issue: '2022-03-01',
    expiration_date: '2032-02-28',
    email: 'ada@customer.example',
    phone_number: '+351210000001',
    metadata_json: '{"source":"earlier provider"}',
    decision_json: '{"liveness_checks":[{"status":"Approved","method":"PASSIVE","score":98.4}]}',
  },
  business_verification: {
    external_id: 'example-company-1',
    status: 'APPROVED',
    vendor_data: 'merchant-1',
    created_at: '2024-05-17T08:42:11Z',
    company_name: 'Example Trading Ltd',
    registration_number: '00000001',
    country_code: 'GB',
    company_type: 'Private Limited Company',
    incorporation_date: '2015-03-12',
    registered_address: '1 Example Lane, Exampleford',
    tax_number: '0000000001',
    website: 'https://trading.example',
    email: 'accounts@trading.example',
    phone_number: '+442079460001',
    metadata_json: '{"source":"earlier provider"}',
    decision_json:
      '{"key_people_checks":[{"status":"Approved","registry":{"officers":[{"name":"Ada Example","role":"director","kyc_session_id":"example-person-1"}]}}]}',
  },
};

const DOCUMENTS: Readonly<Record<ImportType, JsonObject>> = {
  user_verification: {
    external_id: 'example-person-1',
    session_kind: 'user',
    status: 'Approved',
    vendor_data: 'customer-1',
    created_at: '2024-05-17T08:42:11Z',
    metadata: { source: 'earlier provider' },
    id_verifications: [
      {
        status: 'Approved',
        document_type: 'Passport',
        document_number: 'EX0000001',
        issuing_state: 'PRT',
        first_name: 'Ada',
        last_name: 'Example',
        full_name: 'Ada Example',
        date_of_birth: '1990-01-31',
        expiration_date: '2032-02-28',
      },
    ],
    liveness_checks: [{ status: 'Approved', method: 'PASSIVE', score: 98.4 }],
  },
  business_verification: {
    external_id: 'example-company-1',
    session_kind: 'business',
    status: 'APPROVED',
    vendor_data: 'merchant-1',
    created_at: '2024-05-17T08:42:11Z',
    metadata: { source: 'earlier provider' },
    registry_checks: [
      {
        status: 'Approved',
        company: { company_name: 'Example Trading Ltd', registration_number: '00000001', country_code: 'GB' },
      },
    ],
    key_people_checks: [
      {
        status: 'Approved',
        registry: { officers: [{ name: 'Ada Example', role: 'director', kyc_session_id: 'example-person-1' }] },
      },
    ],
  },
};

/** A file to fill: every column (CSV), and one example row, which can be taken in as it is. */
export function importTemplate(importType: ImportType, format: ImportFormat): string {
  if (format === 'ndjson') return `${JSON.stringify(DOCUMENTS[importType])}\n`;
  const columns = IMPORT_COLUMNS[importType];
  return csvLines([columns, columns.map((column) => EXAMPLES[importType][column] ?? '')]);
}

/** Rows as CSV (RFC 4180): lines end in CRLF, cells are quoted where they have to be. */
export function csvLines(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('');
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
