import { existsSync, readFileSync } from 'node:fs';
import type { Death } from './arm/armed.ts';
import type { ProcessKind } from './fleet.ts';

/** A place in the code of one of our processes that it can be killed at. */
export interface CrashPoint {
  /** As `FAIL_AT` has it. */
  readonly point: string;
  readonly kind: ProcessKind;
  /** What brings the process there. */
  readonly reachedBy: string;
  /** That comes so late that another process, which was not killed meanwhile, is at it: it has to be handed over. */
  readonly late?: true;
}

/** Crash points between a call's commit and its answer. */
export const REPLIES = {
  'take-in': 'reply:POST /v1/sessions/',
  mint: 'reply:POST /v3/session/:session_id/share/',
  import: 'reply:POST /v3/session/import-shared/',
  open: 'reply:POST /v1/onboardings/',
  acknowledge: 'reply:POST /v1/onboardings/:token_id/acknowledge/',
  revoke: 'reply:POST /v1/onboardings/:token_id/revoke/',
  delete: 'reply:DELETE /v3/session/:session_id/delete/',
} as const;

const around = (name: string, kind: ProcessKind, reachedBy: string): CrashPoint[] =>
  ['before-commit', 'after-commit'].map((moment) => ({ point: `${name}:${moment}`, kind, reachedBy }));
const beforeAndAfter = (name: string, kind: ProcessKind, reachedBy: string): CrashPoint[] =>
  ['before', 'after'].map((moment) => ({ point: `${name}:${moment}`, kind, reachedBy }));

/** Every point, in the order in which the processes of a kind are killed at them. */
export const CRASH_POINTS: readonly CrashPoint[] = [
  ...around('take-in', 'server', 'a session that is taken in'),
  ...around('open', 'server', 'an opened onboarding'),
  ...around('mint', 'server', 'a minted token'),
  ...around('import', 'server', "a partner's own import"),
  ...around('acknowledge', 'server', "a partner's word"),
  ...beforeAndAfter('signal', 'server', "a partner's word or own import"),
  ...around('close', 'server', 'a share that its issuer takes back'),
  ...around('delete', 'server', 'a session that is deleted'),
  ...around('dispatch', 'server', 'any event'),
  ...around('forget-wish', 'server', 'a wish that is carried out'),
  ...Object.entries(REPLIES).map(([call, point]) => ({
    point,
    kind: 'server' as const,
    reachedBy: `the answer to ${call}`,
  })),

  { point: 'claim-wishes:after-commit', kind: 'onboarding', reachedBy: 'a wish that a killed process left' },
  ...beforeAndAfter('start-workflow', 'onboarding', 'an opened onboarding, or what a killed process left'),
  ...around('mint-step', 'onboarding', 'an opened onboarding'),
  ...around('import', 'onboarding', 'an accepted or automatic share'),
  ...around('notify', 'onboarding', 'an onboarding that ends'),
  ...around('seal', 'onboarding', 'any event'),
  ...around('anchor', 'onboarding', 'a chain that has grown'),
  ...beforeAndAfter('mintShareToken', 'onboarding', 'an opened onboarding'),
  ...beforeAndAfter('importSharedSession', 'onboarding', 'an accepted or automatic share'),
  ...beforeAndAfter('lookAtShareToken', 'onboarding', "a partner's own import, or a revocation"),
  ...beforeAndAfter('notifyParties', 'onboarding', 'an onboarding that ends'),
  ...beforeAndAfter('closeShareToken', 'onboarding', 'a share that runs out').map((point): CrashPoint => ({
    ...point,
    late: true,
  })),

  ...around('claim-delivery', 'webhooks', 'a delivery that is due'),
  { point: 'webhook:before-send', kind: 'webhooks', reachedBy: 'a delivery that is due' },
  { point: 'webhook:after-answer', kind: 'webhooks', reachedBy: 'an answered delivery' },
  ...around('record-attempt', 'webhooks', 'an answered delivery'),
  ...beforeAndAfter('deliverShareToken', 'webhooks', 'a minted share of an onboarding'),
  ...beforeAndAfter('attemptDelivery', 'webhooks', 'a delivery whose first attempt failed'),
];

const PRELOAD = new URL('arm/crash-point.ts', import.meta.url).href;

/** How a process is armed. */
export interface Arming {
  readonly point: string;
  /** Which time kills; default the first. */
  readonly nth?: number;
  /** Counts only what names this text, e.g. an `Idempotency-Key`. */
  readonly only?: string;
  /** File that holds the {@link Death} afterwards. */
  readonly report: string;
}

/** What a process is started with, beside its own settings, to die at a point. */
export function arming({ point, nth = 1, only, report }: Arming): Record<string, string> {
  return {
    NODE_OPTIONS: `--import ${PRELOAD}`,
    FAIL_AT: `${point}:${nth}`,
    CRASH_REPORT: report,
    ...(only !== undefined && { FAIL_FOR: only }),
  };
}

/** How the process that was armed with this report died; null when it did not come to its point. */
export function readDeath(report: string): Death | null {
  return existsSync(report) ? (JSON.parse(readFileSync(report, 'utf8')) as Death) : null;
}
