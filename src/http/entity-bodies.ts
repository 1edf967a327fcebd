import type { EntityStatus } from '../domain/entity.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { EntityCommentRow, EntityRow } from '../postgres/entity-reads.ts';
import type { DecisionStyle } from '../sharing/decision.ts';

/** A row of the list of users. */
export function userItemOf(row: EntityRow, { mediaUrl }: DecisionStyle) {
  const profile = shownProfile(row);
  const portrait = row.verified?.portrait ?? null;
  return {
    didit_internal_id: row.entityId,
    vendor_data: row.vendorData,
    display_name: textOf(profile['display_name']),
    full_name: textOf(profile['full_name']),
    date_of_birth: textOf(profile['date_of_birth']),
    effective_name: textOf(profile['display_name']) ?? textOf(profile['full_name']),
    // Files belong to sessions: a user has no portrait of its own.
    portrait_image_url: portrait === null ? null : (mediaUrl?.(portrait) ?? null),
    issuing_states: textsOf(profile['issuing_states']) ?? [],
    approved_emails: textsOf(profile['approved_emails']) ?? [],
    approved_phones: textsOf(profile['approved_phones']) ?? [],
    ...countedOf(row, row.features),
  };
}

/** One user, whole. */
export function userBodyOf(row: EntityRow, style: DecisionStyle, comments: readonly EntityCommentRow[]) {
  return { ...userItemOf(row, style), ...detailOf(row), comments: comments.map(commentOf) };
}

/** A row of the list of businesses. */
export function businessItemOf(row: EntityRow) {
  const profile = shownProfile(row);
  return {
    didit_internal_id: row.entityId,
    vendor_data: row.vendorData,
    display_name: textOf(profile['display_name']),
    legal_name: textOf(profile['legal_name']),
    registration_number: textOf(profile['registration_number']),
    country_code: textOf(profile['country_code']),
    effective_name: textOf(profile['display_name']) ?? textOf(profile['legal_name']),
    ...countedOf(row, row.latestStatus === null ? [] : [{ feature: 'KYB', status: row.latestStatus }]),
  };
}

/** One business, whole. */
export function businessBodyOf(row: EntityRow) {
  return { ...businessItemOf(row), ...detailOf(row) };
}

/** What the application said, and for the rest what was verified. */
function shownProfile({ profile, verified, issuingStates }: EntityRow): JsonObject {
  const said = Object.entries(profile).filter(([, value]) => value !== null);
  return {
    ...verified?.profile,
    ...(issuingStates.length > 0 && { issuing_states: [...issuingStates] }),
    ...Object.fromEntries(said),
  };
}

function countedOf(row: EntityRow, features: EntityRow['features']) {
  const status: EntityStatus = row.status;
  return {
    status,
    session_count: row.sessions,
    approved_count: row.approved,
    declined_count: row.declined,
    in_review_count: row.inReview,
    features: Object.fromEntries(features.map(({ feature, status }) => [feature, status])),
    features_list: features,
    last_session_at: row.lastSessionAt,
    first_session_at: row.firstSessionAt,
    last_activity_at: row.lastActivityAt,
    tags: [],
    created_at: row.createdAt,
  };
}

function detailOf(row: EntityRow): { metadata: JsonObject; updated_at: string } {
  return { metadata: row.metadata, updated_at: row.updatedAt };
}

function commentOf(row: EntityCommentRow) {
  return {
    uuid: row.commentId,
    comment_type: row.type,
    comment: null,
    actor_email: null,
    actor_name: 'API Client',
    previous_status: row.previousStatus,
    new_status: row.newStatus,
    previous_value: row.previousValue,
    new_value: row.newValue,
    changed_fields: row.changedFields,
    metadata: null,
    mentioned_emails: [],
    created_at: row.createdAt,
  };
}

function textOf(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function textsOf(value: JsonValue | undefined): string[] | null {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : null;
}
