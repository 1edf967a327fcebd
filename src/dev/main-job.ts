import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../domain/json.ts';
import type { Api } from './api.ts';
import type { Progress } from './progress.ts';
import { linkToRun, type SandboxOnboarding } from './sandbox.ts';

/** How long after its ending the notify step is waited for, in milliseconds. */
const TOLD_WITHIN_MS = 5_000;

/** How long the demo waits for an onboarding, in milliseconds: its token's lifetime is longer. */
const PATIENCE_MS = 120_000;

/**
 * Runs one handoff over the HTTP API and shows each step as it happens.
 *
 * @param temporalUiUrl base URL of Temporal's Web UI, for the link to the run
 * @param onWaiting called once, when the share is delivered and its partner has the word
 * @returns the onboarding as it ended
 */
export async function runOnboarding(
  issuer: Api,
  order: { readonly session_id: string; readonly for_application_id: string },
  temporalUiUrl: string | null,
  say: Progress,
  onWaiting: (tokenId: string) => Promise<void> = () => Promise.resolve(),
): Promise<SandboxOnboarding> {
  const opened = await issuer('POST', '/v1/onboardings/', { ...order });
  const tokenId = String(opened['token_id']);
  say(`Onboarding ${tokenId} (${String(opened['session_kind'])})`);
  const onboarding = await follow(issuer, tokenId, say, onWaiting);
  return {
    token_id: tokenId,
    session_kind: String(onboarding['session_kind']),
    status: String(onboarding['status']),
    imported_session_id: (onboarding['imported_session_id'] as string | null) ?? null,
    temporal_url: linkToRun(temporalUiUrl, tokenId),
  };
}

async function follow(
  issuer: Api,
  tokenId: string,
  say: Progress,
  onWaiting: (tokenId: string) => Promise<void>,
): Promise<JsonObject> {
  let asked = false;
  let endedAt: number | undefined;
  const shown = new Set<string>();
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const onboarding = await issuer('GET', `/v1/onboardings/${tokenId}/`);
    const steps = onboarding['steps'] as readonly JsonObject[];
    for (const step of steps.filter((each) => typeof each['finished_at'] === 'string')) {
      const line = `  ${String(step['step']).padEnd(10)} ${String(step['result'])}`;
      if (!shown.has(line)) say(line);
      shown.add(line);
    }
    const told = steps.some((step) => step['step'] === 'notify' && step['finished_at'] !== null);
    if (onboarding['ended_at'] !== null) {
      // A row that somebody closed in the run's place is told of by the relay, not by a step.
      endedAt ??= Date.now();
      if (told || Date.now() - endedAt > TOLD_WITHIN_MS) return onboarding;
    }
    if (onboarding['status'] === 'waiting' && onboarding['acceptance'] === 'acknowledge' && !asked) {
      asked = true;
      await onWaiting(tokenId);
    }
    if (Date.now() > giveUpAt) {
      throw new Error(`onboarding ${tokenId} is still ${String(onboarding['status'])} after ${PATIENCE_MS / 1000} s`);
    }
    await pause(100);
  }
}
