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
export const AUDIT_EVENT_TYPES = ['webhook.secret_rotated', 'webhook.secret_revealed'] as const;
export type AuditEventType = (typeof AUDIT_EVENT_TYPES)[number];

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
  // The run of an onboarding delivers its token itself.
  'share.received',
  // Goes to one destination, whatever that subscribed to: whoever writes it makes the delivery.
  'webhook.ping',
]);

/** Whether every destination that subscribed to such an event gets it. */
export function isDispatched(type: EventType | AuditEventType): boolean {
  return !NOT_DISPATCHED.has(type);
}

/** What every row of our history says of who did it: ids and enums only. */
export interface Actor {
  readonly kind: 'api_key' | 'account' | 'onboarding' | 'system';
  /** API key id, account id of a person who is logged in, or token id of the run; `null` for the system. */
  readonly id: string | null;
  /** `X-Request-Id` of the call that it came with. */
  readonly requestId?: string;
}
