import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
} from '@temporalio/workflow';
import { isFailureCode, type FailureCode } from '../domain/failures.ts';
import type { OnboardingActivities } from './activity-types.ts';
import { isReadable, untilReadable } from './readable-result.ts';

type Steps = OnboardingActivities;
type StepName = keyof Steps;

/** A proxied step, whichever it is: the proxies' own types do not follow a type parameter. */
interface AnyStep {
  executeWithOptions(options: { summary: string }, args: readonly unknown[]): Promise<unknown>;
}

// One short transaction: local, which saves a Temporal task. A few quick tries ride out a restart of Postgres.
const quick = proxyLocalActivities<Steps>({
  startToCloseTimeout: '10s',
  scheduleToCloseTimeout: '45s',
  // The attempts bound it: a local activity that keeps failing is retried past its schedule-to-close (SDK 1.24).
  retry: { initialInterval: '200ms', maximumAttempts: 4 },
});

/**
 * Runs a step that is one transaction: as a local activity, and through a longer outage as a regular one, whose
 * retries cost no history and show in the UI with their last failure.
 *
 * @param patienceMs how long the step may be retried in all, in milliseconds
 * @throws {ActivityFailure} a refusal at once (see {@link refusalCode}), anything else once patience is over
 */
export async function databaseStep<Name extends StepName>(
  name: Name,
  input: Parameters<Steps[Name]>[0],
  options: { readonly summary: string; readonly patienceMs: number },
): Promise<Awaited<ReturnType<Steps[Name]>>> {
  const { summary, patienceMs } = options;
  type Answer = Awaited<ReturnType<Steps[Name]>>;
  const run = (proxy: unknown) => (proxy as AnyStep).executeWithOptions({ summary }, [input]);
  // The only step that answers nothing.
  const isAnswer = name === 'notifyParties' ? () => true : isReadable;
  try {
    const answer = await run(quick[name]);
    if (isAnswer(answer)) return answer as Answer;
  } catch (error) {
    if (isCancellation(error) || refusalCode(error) !== null) throw error;
  }
  const patient = proxyActivities<Steps>({
    startToCloseTimeout: '10s',
    scheduleToCloseTimeout: Math.max(patienceMs, 1_000),
    retry: { initialInterval: '1s', maximumInterval: '30s' },
  });
  return (await untilReadable(() => run(patient[name]), isAnswer)) as Answer;
}

/** The failure code of a step that a rule refused; `null` for any other failure. */
export function refusalCode(error: unknown): FailureCode | null {
  // A local activity's failure comes as it was thrown, a regular one's wrapped.
  const failure = error instanceof ActivityFailure ? error.cause : error;
  if (!(failure instanceof ApplicationFailure)) return null;
  return isFailureCode(failure.type) ? failure.type : null;
}
