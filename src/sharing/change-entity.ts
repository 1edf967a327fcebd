import { changedEntity, type EntityChange, type EntityState } from '../domain/entity.ts';
import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import type { JsonObject } from '../domain/json.ts';
import { entityEvents } from './entity-events.ts';
import type { EntityKey, EntityStore, HandoffTransaction } from './ports.ts';

/**
 * The application changes what it said of a user or business, or blocks it: `PATCH /v3/users/{vendor_data}/` and its
 * like. A block waits for imports of the same `vendor_data` that are being written, and is seen by all later ones. What
 * really changed is told to the application's destinations.
 *
 * @returns its id
 * @throws {Refusal} `not_found`
 */
export async function changeEntity(
  tx: Pick<HandoffTransaction, 'events' | 'newId'>,
  store: EntityStore,
  key: EntityKey,
  change: EntityChange,
  actor: Actor,
): Promise<string> {
  const entity = await store.lock(key);
  if (entity === null) throw new Refusal('not_found');
  const { after, comments } = changedEntity(entity, change);
  if (comments.length > 0) {
    store.update(key.applicationId, entity.entityId, after, comments);
    const states = { before: stateOf(entity), after: stateOf(after) };
    const events = entityEvents({ ...key, ...entity }, after, comments, tx.newId());
    tx.events.insert(
      events.map((event) => ({ ...event, ...states })),
      actor,
    );
  }
  return entity.entityId;
}

/** An entity's state without what else is known of it. */
function stateOf({ status, profile, metadata }: EntityState): JsonObject {
  return { status, profile, metadata };
}
