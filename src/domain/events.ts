/** Webhook events that are sent: Didit's own names, and ours under `share.` and `webhook.`. */
export const EVENT_TYPES = [
  'status.updated',
  'data.updated',
  'user.status.updated',
  'user.data.updated',
  'business.status.updated',
  'business.data.updated',
  'share.minted',
  'share.received',
  'share.imported',
  'share.refused',
  'share.revoked',
  'share.expired',
  'share.undeliverable',
  'share.rejected',
  'webhook.ping',
  'webhook.failing',
  'webhook.disabled',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Facts that stand in the audit trail and are sent to nobody. */
export const AUDIT_EVENT_TYPES = [
  'account.registered',
  'account.contested',
  'account.code_sent',
  'account.verified',
  'account.locked',
  'account.logged_in',
  'account.logged_out',
  'organization.created',
  'organization.changed',
  'application.created',
  'application.changed',
  'application.deleted',
  'api_key.created',
  'api_key.changed',
  'api_key.revoked',
  'verification_workflow.created',
  'verification_workflow.changed',
  'verification_workflow.published',
  'verification_workflow.deleted',
  'session.created',
  'session.changed',
  'session.reviewed',
  'session.deleted',
  'session_import.started',
  'session_import.completed',
  'session_import.failed',
  'session_import.cancelled',
  'user.created',
  'user.deleted',
  'business.created',
  'business.deleted',
  'connection.proposed',
  'connection.accepted',
  'connection.changed',
  'connection.suspended',
  'connection.resumed',
  'agreement.recorded',
  'onboarding.opened',
  'acknowledgement.recorded',
  'acknowledgement.spent',
  'ingest_secret.replaced',
  'ingest_secret.deleted',
  'webhook_destination.created',
  'webhook_destination.changed',
  'webhook_destination.deleted',
  'webhook.secret_rotated',
  'webhook.secret_revealed',
  'webhook.resent',
  'webhook.recovered',
  'webhook.replayed',
  'signing_key.created',
  'signing_key.rotated',
  'signing_key.removed',
] as const;
export type AuditEventType = (typeof AUDIT_EVENT_TYPES)[number];

/** Facts in the platform's own audit trail, which belongs to no application. */
export const PLATFORM_EVENT_TYPES = [
  'temporal.decoded',
  'temporal.payload_refused',
  'storage.plain_adopted',
  'storage.rewrapped',
] as const;
export type PlatformEventType = (typeof PLATFORM_EVENT_TYPES)[number];

/**
 * Every event that a webhook destination can subscribe to: Didit's other names too (contract/didit-api.md 4.3), so that
 * its clients need no list of their own. Nothing is sent for those.
 */
export const SUBSCRIBABLE_EVENTS = [
  ...EVENT_TYPES,
  'activity.created',
  'transaction.created',
  'transaction.status.updated',
  'travel_rule.status.updated',
] as const;
export type SubscribableEvent = (typeof SUBSCRIBABLE_EVENTS)[number];

/** Whether a text names an event that a webhook destination can subscribe to. */
export function isSubscribable(text: string): text is SubscribableEvent {
  return (SUBSCRIBABLE_EVENTS as readonly string[]).includes(text);
}

const NOT_DISPATCHED: ReadonlySet<string> = new Set([
  ...AUDIT_EVENT_TYPES,
  // Goes to one destination, whatever that subscribed to: whoever writes it makes the delivery.
  'webhook.ping',
]);

/** Whether every destination that subscribed to such an event gets it. */
export function isDispatched(type: EventType | AuditEventType): boolean {
  return !NOT_DISPATCHED.has(type);
}

/** Who does things: a key, a person, a run of either sort, or the service itself. */
export const ACTOR_KINDS = ['api_key', 'account', 'onboarding', 'session_import', 'system'] as const;
export type ActorKind = (typeof ACTOR_KINDS)[number];

/** What every row of our history says of who did it: ids and enums only. */
export interface Actor {
  readonly kind: ActorKind;
  /**
   * API key id, account id of a person who is logged in, or the token id or import id of the run; `null` for the system.
   */
  readonly id: string | null;
  /** Whose key or person it is: the trail of another application does not name it. */
  readonly applicationId?: string;
  /** `X-Request-Id` of the call that it came with. */
  readonly requestId?: string;
}
