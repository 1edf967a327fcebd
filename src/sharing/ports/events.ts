import type { Actor, AuditEventType, EventType, PlatformEventType } from '../../domain/events.ts';
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
  /** The run of its onboarding delivers it, and not the sender. */
  readonly byRun?: boolean;
  /** Body of the webhook without `event_id`, `sequence`, `created_at`, `timestamp` and, for `share.received`, the token. */
  readonly body: JsonObject;
  /** Why it was done: a code or short enum, never free text. */
  readonly reason?: string | undefined;
  /** State of the subject before the event; only its salted hash is stored. */
  readonly before?: JsonObject | undefined;
  /** State of the subject after the event; only its salted hash is stored. */
  readonly after?: JsonObject | undefined;
}

export interface EventStore {
  /**
   * Writes events with their payloads, each with the next number of its subject (session, else token, else
   * `subjectId`), and a dispatch wish for what subscribers get.
   */
  insert(events: readonly NewEvent[], actor: Actor): void;
  /** Writes changes that nobody is told of: without payload, delivery or number, all in one statement. */
  record(changes: readonly Change[], actor: Actor): void;
}

/** A change that stands in the audit trail alone. */
export interface Change extends Pick<NewEvent, 'applicationId' | 'reason' | 'before' | 'after'> {
  readonly type: AuditEventType | PlatformEventType;
  readonly tokenId?: string;
  readonly sessionId?: string;
  /** What was changed (UUID), when it is neither the session nor the token; without any, the application itself. */
  readonly subjectId?: string;
  /** The API key that was changed, or the key of share tokens. */
  readonly keyId?: string;
}
