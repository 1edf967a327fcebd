import { condition, sleep } from '@temporalio/workflow';

/* Workflows as ours must never be. */

/** Goes by our name, and does something else: no history of it replays on our code. */
export async function PartnerOnboarding(): Promise<void> {
  await sleep(1);
}

/** Nothing will ever wake it. */
export async function WaitsForNothing(): Promise<void> {
  await condition(() => false);
}
