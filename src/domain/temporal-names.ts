/** Workflow type of one handoff; its workflow id is the token id. */
export const PARTNER_ONBOARDING = 'PartnerOnboarding';
/** Workflow type that carries one delivery's retries; its workflow id is {@link webhookDeliveryWorkflowId}. */
export const WEBHOOK_DELIVERY = 'WebhookDelivery';
/** Workflow type that takes a file of sessions in; its workflow id is {@link sessionImportWorkflowId}. */
export const SESSION_IMPORT = 'SessionImport';
/** Workflow type that fetches a session's files from their source; its workflow id is {@link mediaFetchWorkflowId}. */
export const MEDIA_FETCH = 'MediaFetch';

/** Task queues. Only workers of `webhooks` dial out. */
export const TASK_QUEUES = { onboarding: 'handoff-onboarding', webhooks: 'handoff-webhooks' } as const;

/** Signals of `PartnerOnboarding`: each carries the id of the row that says what happened. */
export const SIGNALS = {
  partnerAcknowledged: 'partnerAcknowledged',
  tokenRedeemed: 'tokenRedeemed',
  tokenRevoked: 'tokenRevoked',
} as const;
export type SignalName = keyof typeof SIGNALS;

/** Query of `PartnerOnboarding`: what the run itself believes. Our own API answers from Postgres. */
export const ONBOARDING_STATUS_QUERY = 'onboardingStatus';
/** Signal of `WebhookDelivery`: its delivery's row may want something else than what it waits for. */
export const DELIVERY_DUE_SIGNAL = 'deliveryDue';
/** Signal of `MediaFetch`: there are files that it may not have seen. */
export const FILES_EXPECTED_SIGNAL = 'filesExpected';
/** Query of `SessionImport`: how far it has come, in numbers. */
export const IMPORT_PROGRESS_QUERY = 'importProgress';

/** Search attributes, with the type each is registered under. Ids and enums only: they are never encrypted. */
export const SEARCH_ATTRIBUTES = {
  HandoffStatus: 'Keyword',
  HandoffIssuer: 'Keyword',
  HandoffPartner: 'Keyword',
  HandoffSessionKind: 'Keyword',
  HandoffExpiresAt: 'Datetime',
} as const;

/** Workflow id of a delivery's retries: made of event and destination, so that it cannot double. */
export function webhookDeliveryWorkflowId(eventId: string, destinationId: string): string {
  return `webhook:${eventId}:${destinationId}`;
}

/** Workflow id of a file's taking in. */
export function sessionImportWorkflowId(importId: string): string {
  return `import:${importId}`;
}

/** Workflow id of the fetching of a session's files. */
export function mediaFetchWorkflowId(sessionId: string): string {
  return `media:${sessionId}`;
}
