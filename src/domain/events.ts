/** Webhook events that exist so far: Didit's own names, and ours under `share.`. */
export const EVENT_TYPES = [
  'status.updated',
  'share.minted',
  'share.received',
  'share.imported',
  'share.refused',
  'share.revoked',
  'share.expired',
  'share.undeliverable',
  'share.rejected',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Whether a text names an event that a webhook destination can subscribe to. */
export function isEventType(text: string): text is EventType {
  return (EVENT_TYPES as readonly string[]).includes(text);
}

/** What every row of our history says of who did it: ids and enums only. */
export interface Actor {
  readonly kind: 'api_key' | 'account' | 'onboarding' | 'system';
  /** API key id, account id of a person who is logged in, or token id of the run; `null` for the system. */
  readonly id: string | null;
  /** `X-Request-Id` of the call that it came with. */
  readonly requestId?: string;
}
