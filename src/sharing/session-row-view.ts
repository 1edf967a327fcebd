import { FEATURE_TOKENS, type CheckCategory, type SessionKind } from '../domain/decision-categories.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';
import { putLinksInItem } from '../domain/media-references.ts';
import { companyNameOf, companyOf, documentName, fullNameOf, textOf } from '../domain/session-facts.ts';
import { renderStatus } from '../domain/session-status.ts';
import type { DecisionStyle } from './decision.ts';
import type { PayloadSealer, SessionRow } from './ports.ts';
import { homeContext } from './store-content.ts';

/** A session of a list: its columns, and what belongs to it elsewhere. */
export interface ListedSession extends SessionRow {
  /** Its user or business, by kind and `vendor_data`. */
  readonly entityId: string | null;
  readonly workflowLabel: string | null;
}

/** A sealed part of a session: an item of an array, or under category '' its owner's settings. */
export interface SealedPart {
  readonly sessionId: string;
  readonly category: CheckCategory | '';
  readonly position: number;
  readonly payload: Buffer;
}

/** The parts of a page's sessions that its rows are made of, in order of position. */
export interface ListedParts {
  readonly parts: readonly SealedPart[];
  /** Files that can be read now. */
  readonly files: readonly { readonly sessionId: string; readonly mediaId: string }[];
  /** The database's clock, Unix seconds. */
  readonly nowSeconds: number;
}

/** Didit's words for `features` of a row, by the array that tells their status. */
const ROW_FEATURES: Readonly<Record<string, CheckCategory>> = {
  ID_VERIFICATION: 'id_verifications',
  NFC: 'nfc_verifications',
  LIVENESS: 'liveness_checks',
  FACE_MATCH: 'face_matches',
  POA: 'poa_verifications',
  QUESTIONNAIRE: 'questionnaire_responses',
  EMAIL_VERIFICATION: 'email_verifications',
  PHONE: 'phone_verifications',
  AML: 'aml_screenings',
  IP_ANALYSIS: 'ip_analyses',
  AGE_ESTIMATION: 'liveness_checks',
  DATABASE_VALIDATION: 'database_validations',
};

/** The arrays that rows of each kind are made of. */
export const ROW_CATEGORIES: Readonly<Record<SessionKind, readonly CheckCategory[]>> = {
  user: [...new Set(Object.values(ROW_FEATURES))],
  business: ['registry_checks'],
};

/** What has gone worst comes first: the status of several items of one feature. */
const WORST_FIRST = ['Declined', 'In Review', 'Resub Requested', 'Expired', 'Not Finished', 'Approved'];

/** Opened items of a session, by array. */
export type Items = ReadonlyMap<CheckCategory, readonly JsonObject[]>;

/** Rows of `GET /v3/sessions/` (contract/didit-api.md 2.3). */
export function sessionRowsOf(
  sessions: readonly ListedSession[],
  listed: ListedParts,
  sealer: PayloadSealer,
  style: DecisionStyle,
): JsonObject[] {
  const parts = Map.groupBy(listed.parts, ({ sessionId }) => sessionId);
  const files = new Set(listed.files.map(({ sessionId, mediaId }) => `${sessionId}:${mediaId}`));
  return sessions.map((session) => {
    const { applicationId, sessionId } = session;
    const { mediaUrl } = style;
    const linkOf = (mediaId: string) =>
      mediaUrl !== undefined && files.has(`${sessionId}:${mediaId}`)
        ? mediaUrl({ applicationId, sessionId, mediaId, nowSeconds: listed.nowSeconds })
        : null;
    const items = new Map<CheckCategory, JsonObject[]>();
    let settings: JsonObject = {};
    for (const { category, position, payload } of parts.get(sessionId) ?? []) {
      const place =
        category === '' ? homeContext(session, category, position) : { applicationId, sessionId, category, position };
      const part = sealer.openPayload(place, payload);
      if (!isJsonObject(part)) throw new Error('a stored part of a session is an object');
      if (category === '') settings = part;
      else items.set(category, [...(items.get(category) ?? []), putLinksInItem(category, part, linkOf)]);
    }
    const status = renderStatus(session.kind, session.status, style.businessStatusCase);
    return session.kind === 'business'
      ? businessRowOf(session, status, items)
      : userRowOf(session, status, items, settings);
  });
}

function userRowOf(session: ListedSession, status: string, items: Items, settings: JsonObject): JsonObject {
  const document = bestOf(items, 'id_verifications');
  const type = textOf(document, 'document_type');
  return {
    session_id: session.sessionId,
    session_kind: 'user',
    session_number: session.number,
    session_url: textOf(settings, 'session_url'),
    portrait_image: textOf(document, 'portrait_image'),
    document_type: type === null ? null : documentName(type),
    full_name: fullNameOf(document),
    country: session.country,
    status,
    vendor_data: session.vendorData,
    didit_internal_id: session.entityId,
    created_at: session.createdAt,
    features: featuresOf(session.features, items),
    phone_number: phoneOf(bestOf(items, 'phone_verifications')),
    email_address: emailOf(bestOf(items, 'email_verifications')),
    additional_details: detailsOf(items),
  };
}

function businessRowOf(session: ListedSession, status: string, items: Items): JsonObject {
  const registry = bestOf(items, 'registry_checks');
  const company = registry === undefined ? {} : companyOf(registry);
  return {
    session_id: session.sessionId,
    session_kind: 'business',
    session_number: session.number,
    status,
    vendor_data: session.vendorData,
    created_at: session.createdAt,
    workflow_id: session.workflowId,
    workflow_type: session.workflowId === null ? null : 'kyb',
    workflow_label: session.workflowLabel,
    company_name: companyNameOf(company),
    registration_number: textOf(company, 'registration_number'),
    country: session.country,
  };
}

/** The item that speaks for an array: the first that was approved, else the first. */
export function bestOf(items: Items, category: CheckCategory): JsonObject | undefined {
  const all = items.get(category) ?? [];
  return all.find(isApproved) ?? all[0];
}

function isApproved(item: JsonObject): boolean {
  return item['status'] === 'Approved';
}

function featuresOf(stated: readonly string[], items: Items): JsonObject[] {
  const ran = [...items.keys()].flatMap((category) => FEATURE_TOKENS[category] ?? []);
  return [...new Set([...stated, ...ran])].flatMap((feature) => {
    const category = Object.hasOwn(ROW_FEATURES, feature) ? ROW_FEATURES[feature] : undefined;
    if (category === undefined) return [];
    const statuses = new Set((items.get(category) ?? []).map((item) => textOf(item, 'status')));
    return [{ feature, status: WORST_FIRST.find((status) => statuses.has(status)) ?? 'Not Finished' }];
  });
}

function phoneOf(item: JsonObject | undefined): JsonObject | null {
  if (item === undefined) return null;
  const number = phoneNumberOf(item);
  return number === null ? null : { number, is_verified: isApproved(item) };
}

/** The number of a phone check, with its prefix. */
export function phoneNumberOf(item: JsonObject): string | null {
  const local = textOf(item, 'phone_number');
  return textOf(item, 'full_number') ?? (local === null ? null : (textOf(item, 'phone_number_prefix') ?? '') + local);
}

function emailOf(item: JsonObject | undefined): JsonObject | null {
  const email = textOf(item, 'email');
  return item === undefined || email === null ? null : { email, is_verified: isApproved(item) };
}

/** What Didit shows of single features; of what no source states, such as a ported number, nothing is claimed. */
function detailsOf(items: Items): JsonObject | null {
  const details: JsonObject = {};
  const add = (name: string, category: CheckCategory, read: (item: JsonObject) => JsonObject) => {
    const item = bestOf(items, category);
    if (item !== undefined) details[name] = read(item);
  };
  add('aml', 'aml_screenings', (item) => ({
    total_hits: numberOf(item, 'total_hits'),
    entity_type: textOf(item, 'entity_type'),
    is_adverse_media_fetched: truthOf(item, 'is_adverse_media_fetched'),
    screened_data: objectOf(item, 'screened_data'),
  }));
  add('database_validation', 'database_validations', (item) => {
    const screened = objectOf(item, 'screened_data') ?? {};
    return {
      validation_type: textOf(item, 'validation_type'),
      match_type: textOf(item, 'match_type'),
      identification_number:
        textOf(screened, 'identification_number') ??
        textOf(screened, 'personal_number') ??
        textOf(screened, 'tax_number') ??
        textOf(screened, 'document_number'),
    };
  });
  add('poa', 'poa_verifications', (item) => ({
    document_type: textOf(item, 'document_type'),
    issuer: textOf(item, 'issuer'),
    address: textOf(item, 'poa_address'),
    name_on_document: textOf(item, 'name_on_document'),
  }));
  add('liveness', 'liveness_checks', (item) => {
    const percent = numberOf(item, 'score');
    // A row states a share where the decision states per cent.
    return { method: textOf(item, 'method'), score: percent === null ? null : percent / 100 };
  });
  add('face_match', 'face_matches', (item) => ({
    score: numberOf(item, 'score'),
    source_image: textOf(item, 'source_image'),
    target_image: textOf(item, 'target_image'),
  }));
  add('phone_verification', 'phone_verifications', (item) => ({
    country_code: textOf(item, 'country_code'),
    is_temporary: truthOf(item, 'is_disposable'),
    is_ported: truthOf(item, 'is_ported'),
    is_blocked: truthOf(item, 'is_blocked'),
  }));
  add('email_verification', 'email_verifications', (item) => ({
    is_breached: truthOf(item, 'is_breached'),
    is_disposable: truthOf(item, 'is_disposable'),
    is_undeliverable: truthOf(item, 'is_undeliverable'),
    is_blocklisted: truthOf(item, 'is_blocklisted'),
  }));
  return Object.keys(details).length > 0 ? details : null;
}

function memberOf(item: JsonObject, member: string): JsonValue {
  return Object.hasOwn(item, member) ? (item[member] ?? null) : null;
}

function numberOf(item: JsonObject, member: string): number | null {
  const value = memberOf(item, member);
  return typeof value === 'number' ? value : null;
}

function truthOf(item: JsonObject, member: string): boolean | null {
  const value = memberOf(item, member);
  return typeof value === 'boolean' ? value : null;
}

function objectOf(item: JsonObject, member: string): JsonObject | null {
  const value = memberOf(item, member);
  return isJsonObject(value) ? value : null;
}
