import type { Actor, AuditEventType, EventType } from '../../domain/events.ts';
import type { JsonObject } from '../../domain/json.ts';

/** An event to be written, once per `dedupeKey`, with the deliveries it wants. */
export interface NewEvent {
  readonly type: EventType | AuditEventType;
  /** The application that is told. */
  readonly applicationId: string;
  readonly tokenId: string | null;
  readonly sessionId: string | null;
  /** User, business or destination that an event is about which names neither session nor token (UUID). */
  readonly subjectId?: string;
  readonly dedupeKey: string;
  /** Body of the webhook without `event_id`, `sequence`, `created_at`, `timestamp` and, for `share.received`, the token. */
  readonly body: JsonObject;
}

export interface EventStore {
  /**
   * Writes events with their payloads, each with the next number of its subject (session, else token, else
   * `subjectId`), and a dispatch wish for what subscribers get.
   */
  insert(events: readonly NewEvent[], actor: Actor): void;
}
