import { proxyActivities } from '@temporalio/workflow';
import type { BareActivities } from './activities.ts';

const { first, second, third, fourth } = proxyActivities<BareActivities>({ startToCloseTimeout: '10s' });

/** Four regular activities in a row, and nothing else: what the four steps of an onboarding cost Temporal alone. */
export async function BareWorkflow(): Promise<string> {
  await first();
  await second();
  await third();
  await fourth();
  return 'done';
}
