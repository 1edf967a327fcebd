import type { Actor, EventType } from '../../domain/events.ts';
import type { JsonObject } from '../../domain/json.ts';

/** An event to be written, once per `dedupeKey`, with the deliveries it wants. */
export interface NewEvent {
  readonly type: EventType;
  /** The application that is told. */
  readonly applicationId: string;
  readonly tokenId: string | null;
  readonly sessionId: string | null;
  readonly dedupeKey: string;
  /** Body of the webhook without `event_id`, `timestamp` and, for `share.received`, the token. */
  readonly body: JsonObject;
}

export interface EventStore {
  /** Writes events with their payloads and a dispatch wish for each. */
  insert(events: readonly NewEvent[], actor: Actor): void;
}
