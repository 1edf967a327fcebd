import { sleep } from '@temporalio/workflow';
import {
  MediaFetch as fetching,
  PartnerOnboarding as onboarding,
  SessionImport as taking,
  WebhookDelivery as delivery,
} from '../../src/workflows/index.ts';

/* The real workflow code with one change that no history knows: a pause before everything else. */

export async function PartnerOnboarding(input: Parameters<typeof onboarding>[0]): ReturnType<typeof onboarding> {
  await sleep(1);
  return onboarding(input);
}

export async function MediaFetch(input: Parameters<typeof fetching>[0]): ReturnType<typeof fetching> {
  await sleep(1);
  return fetching(input);
}

export async function SessionImport(input: Parameters<typeof taking>[0]): ReturnType<typeof taking> {
  await sleep(1);
  return taking(input);
}

export async function WebhookDelivery(input: Parameters<typeof delivery>[0]): ReturnType<typeof delivery> {
  await sleep(1);
  return delivery(input);
}
