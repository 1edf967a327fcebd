/* `handoff/webhooks`: verifies what Handoff and Didit send. Needs Web Crypto and nothing else. */
export type { WebhookBody, WebhookHeaders } from './delivery.ts';
export { stateSubjectOf } from './events.ts';
export type * from './events.ts';
export { WebhookVerificationError, type WebhookVerificationCode } from './verification-error.ts';
export { verifyWebhook, type WebhookToVerify } from './verify-webhook.ts';
