import { randomUUID } from 'node:crypto';
import type { PostOutcome } from '../../src/webhooks/http-post.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';

/** A delivery of its own in its first attempt, as a ledger hands it out. */
export function claimedDelivery(more: Partial<ClaimedDelivery> = {}): ClaimedDelivery {
  const eventType = more.eventType ?? 'status.updated';
  return {
    deliveryId: randomUUID(),
    attemptId: randomUUID(),
    trigger: 'auto',
    attempt: 1,
    scheduledSoFar: 1,
    scheduleAttempt: 1,
    eventId: randomUUID(),
    eventType,
    applicationId: randomUUID(),
    destinationId: randomUUID(),
    createdAt: 1_790_000_000,
    claimedAtMs: Date.now(),
    sequence: 1,
    payload: `{\n"webhook_type":"${eventType}"\n}`,
    media: null,
    url: 'https://receiver.example/',
    payloadMode: 'full',
    secrets: [Buffer.alloc(32, 2)],
    diditHeadersSignedWith: 'previous',
    token: null,
    ...more,
  };
}

/** A receiver that took it, and had nothing to say. */
export const ANSWERED: PostOutcome = {
  kind: 'reply',
  status: 204,
  retryAfter: null,
  webhookDelivery: null,
  locationHost: null,
  bodyHead: '',
  bodyTruncated: false,
  connectedIp: null,
  durationMs: 1,
};
