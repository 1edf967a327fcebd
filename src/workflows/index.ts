export { MediaFetch } from './media-fetch.ts';
export { PartnerOnboarding } from './partner-onboarding.ts';
export { SessionImport } from './session-import.ts';
export { WebhookDelivery } from './webhook-delivery.ts';
