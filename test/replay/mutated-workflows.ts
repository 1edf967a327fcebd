import { sleep } from '@temporalio/workflow';
import { PartnerOnboarding as onboarding, WebhookDelivery as delivery } from '../../src/workflows/index.ts';

/* The real workflow code with one change that no history knows: a pause before everything else. */

export async function PartnerOnboarding(input: Parameters<typeof onboarding>[0]): ReturnType<typeof onboarding> {
  await sleep(1);
  return onboarding(input);
}

export async function WebhookDelivery(input: Parameters<typeof delivery>[0]): ReturnType<typeof delivery> {
  await sleep(1);
  return delivery(input);
}
