import { ARRAY_NAMES, earliestExpiry, featuresOf, readChecks, reportPart } from './decision-arrays.ts';
import type { Report } from './decision-arrays.ts';
import type { SessionKind } from './decision-categories.ts';
import { isIsoTime } from './decision-dates.ts';
import type { DecisionEnvironment, SessionHome } from './decision-document.ts';
import { refuseDeepNesting } from './decision-parts.ts';
import type { CheckParts } from './decision-parts.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { parseStatus, SESSION_STATUSES } from './session-status.ts';
import type { SessionStatus } from './session-status.ts';

/** What is wrong with a field and how to mend it. `field` is a dotted path such as `id_verifications.0`. */
export interface DecisionProblem {
  readonly field: string;
  readonly message: string;
}

/** A decision document taken apart into what is stored. */
export interface DecisionContent {
  readonly kind: SessionKind;
  readonly status: SessionStatus;
  /** Null when the document leaves it to the application. */
  readonly environment: DecisionEnvironment | null;
  readonly external_id: string | null;
  readonly vendor_data: string | null;
  readonly features: readonly string[];
  readonly nfc_skip_reason: string | null;
  /** ISO 8601, as given. */
  readonly created_at: string | null;
  /** ISO 8601, as given. */
  readonly expires_at: string | null;
  /** The earliest `expiration_date` of the identity documents, `YYYY-MM-DD`. */
  readonly document_expires_on: string | null;
  readonly checks: readonly CheckParts[];
  readonly home: SessionHome;
}

/** Either the content, or every problem found. */
export type DecisionReading =
  | ({ readonly ok: true; readonly problems: readonly [] } & DecisionContent)
  | { readonly ok: false; readonly problems: readonly DecisionProblem[] };

const KINDS: readonly SessionKind[] = ['user', 'business'];
const ENVIRONMENTS: readonly DecisionEnvironment[] = ['live', 'sandbox'];

/** Facts that the store gives a session itself; a document may state them, and they are ignored. */
const IGNORED_FIELDS = ['session_id', 'session_number', 'workflow_id', 'application_id', 'shared_from_session'];

/** Where a column or an index of Postgres ends. */
export const MAX_CHARACTERS = { external_id: 255, vendor_data: 512 } as const;

/** What `features` and `nfc_skip_reason` hold: names that Didit may add to, and nothing personal. */
export const CODE = /^[A-Z0-9_]{1,64}$/;
export const MAX_FEATURES = 64;

const HOME_FIELDS = ['session_url', 'metadata', 'expected_details', 'contact_details', 'callback'] as const;

const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  ...IGNORED_FIELDS,
  ...HOME_FIELDS,
  ...ARRAY_NAMES,
  'session_kind',
  'status',
  'environment',
  'external_id',
  'vendor_data',
  'features',
  'nfc_skip_reason',
  'created_at',
  'expires_at',
]);

/** Whether a decision document may have this member. */
export function isDecisionField(name: string): boolean {
  return KNOWN_FIELDS.has(name);
}

/**
 * Reads the body of `POST /v1/sessions/`: a decision document as `renderDecision` writes it, plus `external_id`.
 * Total: whatever the object holds, it returns content or problems and never throws.
 */
export function readDecision(document: JsonObject): DecisionReading {
  const problems: DecisionProblem[] = [];
  const report: Report = (field, message) => {
    problems.push({ field, message });
  };
  for (const field of Object.keys(document)) {
    if (!KNOWN_FIELDS.has(field)) report(field, 'Unknown field: remove it, or move it into `metadata`.');
  }

  const kind = readKind(document, report);
  const status = readStatus(document, report);
  const environment = readEnvironment(document, report);
  const external_id = readText(document, 'external_id', report);
  if (external_id === '') report('external_id', 'It is empty: give your own id of the record, or leave the field out.');
  const vendor_data = readText(document, 'vendor_data', report);
  if (vendor_data === '') report('vendor_data', 'It is empty: give your own id of the customer, or null.');
  const nfc_skip_reason = readCode(document, 'nfc_skip_reason', report);
  if (kind === 'business' && nfc_skip_reason !== null) {
    report('nfc_skip_reason', 'Only a user session has it: remove it, or correct `session_kind`.');
  }
  const created_at = readTime(document, 'created_at', report);
  const expires_at = readTime(document, 'expires_at', report);
  const stated = readFeatures(document, report);
  const home = readHome(document, report);
  const checks = kind === null ? [] : readChecks(document, kind, report);

  if (kind === null || status === null || problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    problems: [],
    kind,
    status,
    environment,
    external_id,
    vendor_data,
    features: stated ?? featuresOf(checks),
    nfc_skip_reason,
    created_at,
    expires_at,
    document_expires_on: earliestExpiry(checks),
    checks,
    home,
  };
}

function readKind(document: JsonObject, report: Report): SessionKind | null {
  const value = document['session_kind'];
  const kind = KINDS.find((known) => known === value) ?? null;
  if (kind === null) {
    report('session_kind', `${value === undefined ? 'It is missing' : 'Unknown kind'}: give \`user\` or \`business\`.`);
  }
  return kind;
}

function readStatus(document: JsonObject, report: Report): SessionStatus | null {
  const value = document['status'];
  const status = typeof value === 'string' ? parseStatus(value) : null;
  if (status === null) {
    const reason = value === undefined ? 'It is missing' : 'Unknown status';
    report('status', `${reason}: give one of ${SESSION_STATUSES.join(', ')}, spelt so or in UPPER_SNAKE.`);
  }
  return status;
}

function readEnvironment(document: JsonObject, report: Report): DecisionEnvironment | null {
  const value = document['environment'] ?? null;
  const environment = ENVIRONMENTS.find((known) => known === value) ?? null;
  if (value !== null && environment === null) {
    report('environment', 'Unknown environment: give `live` or `sandbox`, or leave the field out.');
  }
  return environment;
}

function readText(document: JsonObject, field: keyof typeof MAX_CHARACTERS, report: Report): string | null {
  const value = document[field] ?? null;
  if (typeof value === 'string' && value.length > MAX_CHARACTERS[field]) {
    report(field, `Ensure this field has no more than ${MAX_CHARACTERS[field]} characters.`);
  }
  if (value === null || typeof value === 'string') return value;
  report(field, 'It is not text: give a string or null.');
  return null;
}

function readCode(document: JsonObject, field: string, report: Report): string | null {
  const value = document[field] ?? null;
  if (value === null || isCode(value)) return value;
  report(field, 'It is not a code: give one such as USER_SKIPPED, or null.');
  return null;
}

function isCode(value: JsonValue): value is string {
  return typeof value === 'string' && CODE.test(value);
}

function readTime(document: JsonObject, field: string, report: Report): string | null {
  const value = document[field] ?? null;
  if (value === null) return null;
  if (typeof value === 'string' && isIsoTime(value)) return value;
  report(field, 'It is not an ISO 8601 time with a zone: write it like 2026-05-17T08:42:11Z, or leave it out.');
  return null;
}

function readFeatures(document: JsonObject, report: Report): string[] | null {
  const value = document['features'] ?? null;
  if (value === null) return null;
  if (Array.isArray(value) && value.length <= MAX_FEATURES && value.every(isCode)) return value;
  report(
    'features',
    `It is not a list of up to ${MAX_FEATURES} codes: give codes such as ID_VERIFICATION, or leave it out.`,
  );
  return null;
}

function readHome(document: JsonObject, report: Report): SessionHome {
  for (const field of HOME_FIELDS) {
    try {
      refuseDeepNesting(document[field] ?? null);
    } catch (error) {
      reportPart(error, field, report);
    }
  }
  return {
    session_url: document['session_url'] ?? null,
    metadata: document['metadata'] ?? null,
    expected_details: document['expected_details'] ?? null,
    contact_details: document['contact_details'] ?? null,
    callback: document['callback'] ?? null,
  };
}
