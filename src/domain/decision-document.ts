import { aliasOf, CHECK_CATEGORIES } from './decision-categories.ts';
import type { CheckCategory, SessionKind } from './decision-categories.ts';
import { setMember } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/** `sandbox` and `live` never mix (contract row 27). */
export type DecisionEnvironment = 'live' | 'sandbox';

/** What a decision document says of the session itself. Times are ISO 8601; `status` is already in its output casing. */
export interface SessionFacts {
  readonly session_id: string;
  readonly session_kind: SessionKind;
  /** Numbered per application. */
  readonly session_number: number;
  readonly status: string;
  readonly environment: DecisionEnvironment;
  /** The application's own verification workflow. */
  readonly workflow_id: string | null;
  readonly features: readonly string[];
  readonly vendor_data: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  /** The session that this one is an import of; null for an original. */
  readonly shared_from_session: string | null;
  /** `user` sessions only. */
  readonly nfc_skip_reason: string | null;
}

/** The owner's settings and link: stored apart, all null in an import (contract row 29). */
export interface SessionHome {
  readonly session_url: JsonValue;
  readonly metadata: JsonValue;
  readonly expected_details: JsonValue;
  readonly contact_details: JsonValue;
  readonly callback: JsonValue;
}

const NOTHING_AT_HOME: SessionHome = {
  session_url: null,
  metadata: null,
  expected_details: null,
  contact_details: null,
  callback: null,
};

/**
 * The body of `GET /v3/session/{id}/decision/` and of an import: Didit's keys in the order of its samples, every array
 * under both its names, `[]` for a feature that never ran (contract rows 8, 9, 16).
 *
 * @param home the owner's settings, or null to render an import
 * @param checks the items of each array, already put together for this reader
 */
export function renderDecision(
  facts: SessionFacts,
  home: SessionHome | null,
  checks: ReadonlyMap<CheckCategory, readonly JsonObject[]>,
): JsonObject {
  const { session_url, metadata, expected_details, contact_details, callback } = home ?? NOTHING_AT_HOME;
  const head = {
    session_id: facts.session_id,
    session_kind: facts.session_kind,
    shared_from_session: facts.shared_from_session,
    session_number: facts.session_number,
    session_url,
    status: facts.status,
    environment: facts.environment,
    workflow_id: facts.workflow_id,
    features: [...facts.features],
    vendor_data: facts.vendor_data,
    metadata,
  };
  const arrays = renderArrays(facts.session_kind, checks);
  const times = { created_at: facts.created_at, expires_at: facts.expires_at };
  if (facts.session_kind === 'business') {
    return { ...head, callback, ...arrays, contact_details, expected_details, ...times };
  }
  return {
    ...head,
    expected_details,
    contact_details,
    callback,
    ...arrays,
    ...times,
    nfc_skip_reason: facts.nfc_skip_reason,
  };
}

function renderArrays(kind: SessionKind, checks: ReadonlyMap<CheckCategory, readonly JsonObject[]>): JsonObject {
  const arrays: JsonObject = {};
  for (const category of CHECK_CATEGORIES[kind]) {
    const items = checks.get(category) ?? [];
    setMember(arrays, category, [...items]);
    const alias = aliasOf(category);
    if (alias !== null) setMember(arrays, alias, [...items]);
  }
  return arrays;
}
