import { sameJson, type JsonObject, type JsonValue } from './json.ts';

/** Standing of a user or business with the application whose it is: a blocked one is refused new sessions and imports. */
export const ENTITY_STATUSES = ['ACTIVE', 'FLAGGED', 'BLOCKED'] as const;
export type EntityStatus = (typeof ENTITY_STATUSES)[number];

/** What an application said of a user or business itself. */
export interface EntityContent {
  /** Names, birth date, addresses …, by the names of the API; a member that was never said is absent. */
  readonly profile: JsonObject;
  readonly metadata: JsonObject;
}

/** What the log of an entity says of a change; values are those before and after it. */
export interface EntityComment {
  readonly type: 'STATUS_CHANGED' | 'METADATA_UPDATED' | 'PROFILE_UPDATED';
  readonly previousStatus: EntityStatus | null;
  readonly newStatus: EntityStatus | null;
  readonly previousValue: JsonValue;
  readonly newValue: JsonValue;
  readonly changedFields: readonly string[];
}

/** A change by the entity's application: lists and metadata are replaced as a whole, what is absent stays. */
export interface EntityChange {
  readonly status?: EntityStatus | undefined;
  readonly profile?: JsonObject | undefined;
  readonly metadata?: JsonObject | undefined;
}

/** An entity as its application set it. */
export type EntityState = EntityContent & { readonly status: EntityStatus };

/** What becomes of an entity by a change, with a comment for everything that really differs. */
export function changedEntity(
  before: EntityState,
  change: EntityChange,
): { readonly after: EntityState; readonly comments: readonly EntityComment[] } {
  const status = change.status ?? before.status;
  const metadata = change.metadata ?? before.metadata;
  const given = Object.entries(change.profile ?? {});
  const changed = given.filter(([name, value]) => !sameJson(value, before.profile[name] ?? null));
  const profile = { ...before.profile, ...Object.fromEntries(changed) };
  const nothing = {
    previousStatus: null,
    newStatus: null,
    previousValue: null,
    newValue: null,
    changedFields: [],
  };
  const comments: EntityComment[] = [];
  if (status !== before.status) {
    comments.push({ ...nothing, type: 'STATUS_CHANGED', previousStatus: before.status, newStatus: status });
  }
  if (!sameJson(metadata, before.metadata)) {
    comments.push({ ...nothing, type: 'METADATA_UPDATED', previousValue: before.metadata, newValue: metadata });
  }
  if (changed.length > 0) {
    comments.push({
      ...nothing,
      type: 'PROFILE_UPDATED',
      previousValue: Object.fromEntries(changed.map(([name]) => [name, before.profile[name] ?? null])),
      newValue: Object.fromEntries(changed),
      changedFields: changed.map(([name]) => name),
    });
  }
  return { after: { status, metadata, profile }, comments };
}
