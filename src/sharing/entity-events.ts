import type { EntityComment, EntityState } from '../domain/entity.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';
import type { LockedEntity, NewEvent } from './ports.ts';

/** What all events about one user or business have in common. */
type EventSubject = Pick<LockedEntity, 'entityId' | 'vendorData' | 'environment'> & {
  readonly applicationId: string;
  readonly kind: 'user' | 'business';
};

/**
 * Didit's events of a change that an application made to a user or business (contract/didit-api.md 4.4): one of its
 * status, and one of all the rest. The event store leaves values out that a signed body cannot carry.
 *
 * @param comments what changed, as the entity's log has it
 * @param cause different for each change: the same cause is told once
 */
export function entityEvents(
  entity: EventSubject,
  { status }: Pick<EntityState, 'status'>,
  comments: readonly EntityComment[],
  cause: string,
): NewEvent[] {
  const changes: JsonObject = {};
  const events: NewEvent[] = [];
  for (const comment of comments) {
    if (comment.type === 'STATUS_CHANGED') {
      const previous_status = comment.previousStatus;
      events.push(entityEvent(entity, `${entity.kind}.status.updated`, cause, { status, previous_status }));
    } else if (comment.type === 'METADATA_UPDATED') {
      changes['metadata'] = { previous: comment.previousValue, current: comment.newValue };
    } else {
      for (const field of comment.changedFields) {
        const previous = memberOf(comment.previousValue, field);
        changes[field] = { previous, current: memberOf(comment.newValue, field) };
      }
    }
  }
  const changed_fields = Object.keys(changes);
  if (changed_fields.length > 0) {
    events.push(entityEvent(entity, `${entity.kind}.data.updated`, cause, { status, changed_fields, changes }));
  }
  return events;
}

function memberOf(value: JsonValue, name: string): JsonValue {
  return isJsonObject(value) ? (value[name] ?? null) : null;
}

function entityEvent(
  { entityId, applicationId, kind, vendorData, environment }: EventSubject,
  type: `${EventSubject['kind']}.${'status' | 'data'}.updated`,
  cause: string,
  members: JsonObject,
): NewEvent {
  return {
    type,
    applicationId,
    tokenId: null,
    sessionId: null,
    subjectId: entityId,
    dedupeKey: `${entityId}:${type}:${cause}`,
    body: {
      webhook_type: type,
      application_id: applicationId,
      environment,
      [kind === 'user' ? 'vendor_user_id' : 'vendor_business_id']: entityId,
      vendor_data: vendorData,
      ...members,
    },
  };
}
