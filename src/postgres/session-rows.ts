import { isUuid } from '../domain/ids.ts';

/** Any text as a uuid parameter: what is not one matches no row. */
export function uuidOrNull(text: string | undefined | null): string | null {
  return typeof text === 'string' && isUuid(text) ? text : null;
}

/** ISO 8601 in UTC with microseconds, as Didit writes times. */
export function isoColumn(expression: string): string {
  return `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

/** Select list that makes a `SessionRow` of a row of `session` under this alias. */
export function sessionColumns(alias: string): string {
  return `${alias}.session_id as "sessionId", ${alias}.application_id as "applicationId", ${alias}.session_kind as kind,
    ${alias}.session_number::float8 as number, ${alias}.status, ${alias}.environment, ${alias}.workflow_id as "workflowId",
    ${alias}.vendor_data as "vendorData", ${alias}.external_id as "externalId", ${alias}.features,
    ${alias}.nfc_skip_reason as "nfcSkipReason", to_char(${alias}.document_expires_on, 'YYYY-MM-DD') as "documentExpiresOn",
    ${alias}.shared_from_session as "sharedFromSession", ${alias}.parent_import as "parentImport",
    ${alias}.session_type as "sessionType", ${alias}.workflow_version as "workflowVersion",
    coalesce(${alias}.first_status, ${alias}.status) as "firstStatus", ${alias}.country,
    ${alias}.document_type as "documentType", ${alias}.warnings,
    ${isoColumn(`${alias}.created_at`)} as "createdAt", ${isoColumn(`${alias}.expires_at`)} as "expiresAt"`;
}

/** The columns of new session rows, for `jsonb_to_recordset`: the names of `SessionRow`. */
export const SESSION_RECORD = `"sessionId" uuid, "applicationId" uuid, kind text, number bigint, status text, environment text,
  "workflowId" uuid, "vendorData" text, "externalId" text, features jsonb, "nfcSkipReason" text, "documentExpiresOn" date,
  "sharedFromSession" uuid, "parentImport" uuid, "sessionType" text, "workflowVersion" int, "firstStatus" text, country text,
  "documentType" text, warnings jsonb, "createdAt" timestamptz, "expiresAt" timestamptz`;

/** Insert of session rows from a relation `r` of {@link SESSION_RECORD} with this expression as the number. */
export function insertSessions(number: string, from: string): string {
  return `insert into session (session_id, application_id, session_kind, session_number, status, environment, workflow_id,
      vendor_data, external_id, features, nfc_skip_reason, document_expires_on, shared_from_session, parent_import,
      session_type, workflow_version, first_status, country, document_type, warnings, created_at, expires_at, updated_at)
    select r."sessionId", r."applicationId", r.kind, ${number}, r.status, r.environment, r."workflowId", r."vendorData",
      r."externalId", array(select jsonb_array_elements_text(r.features)), r."nfcSkipReason", r."documentExpiresOn",
      r."sharedFromSession", r."parentImport", r."sessionType", r."workflowVersion", r."firstStatus", r.country,
      r."documentType", array(select jsonb_array_elements_text(r.warnings)), r."createdAt", r."expiresAt", handoff_now()
    from ${from}`;
}
