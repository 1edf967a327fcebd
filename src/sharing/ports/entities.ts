import type { SessionKind } from '../../domain/decision-categories.ts';
import type { EntityComment, EntityState } from '../../domain/entity.ts';
import type { Environment } from './storage.ts';

/** Which user or business: the one with this `vendor_data`, or with this id when it has none. */
export interface EntityKey {
  readonly applicationId: string;
  readonly kind: SessionKind;
  /** `vendor_data`; of an entity without any, its id. */
  readonly name: string;
}

/** An entity that is locked, as it stands. */
export interface LockedEntity extends EntityState {
  readonly entityId: string;
  readonly vendorData: string | null;
  /** Of its application: what is said of an entity is of no session. */
  readonly environment: Environment;
}

export interface EntityStore {
  /** Locks an entity against other changes and against imports; null when it is not there. */
  lock(key: EntityKey): Promise<LockedEntity | null>;
  /** Writes a locked entity and the comments on its change. */
  update(applicationId: string, entityId: string, after: EntityState, comments: readonly EntityComment[]): void;
}
