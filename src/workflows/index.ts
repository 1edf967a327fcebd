export { PartnerOnboarding } from './partner-onboarding.ts';
export { WebhookDelivery } from './webhook-delivery.ts';
