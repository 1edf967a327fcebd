import { ApplicationFailure } from '@temporalio/activity';
import { FAILURES, Refusal } from '../domain/failures.ts';

/**
 * Turns what an activity threw into what Temporal may keep. A refusal becomes non-retryable under its own code; any
 * other error keeps its kind alone, because a database's message can quote the values it was given.
 */
export function translateFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof Refusal) {
    return ApplicationFailure.create({
      type: error.code,
      message: FAILURES[error.code].detail,
      nonRetryable: true,
      // A rule that says no is no fault: it belongs in the run, not among the worker's warnings.
      category: 'BENIGN',
      details: [error.field ?? null],
    });
  }
  const code = (error as { code?: unknown } | null)?.code;
  const kind = error instanceof Error ? error.constructor.name : 'unknown';
  return ApplicationFailure.create({
    type: 'technical',
    message: typeof code === 'string' ? `${kind} ${code}` : kind,
    nonRetryable: false,
  });
}

/** Every activity is given one object; a payload codec that cannot decode it leaves none. Retried: a key may be put back. */
function unreadableInput(): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'unreadable_input',
    message: 'the input cannot be decoded: was a key taken out of TEMPORAL_CODEC_KEYS too early?',
    nonRetryable: false,
  });
}

/**
 * Wraps each activity so that its failures are translated.
 *
 * @param onFault told of every failure that is no refusal, before it is translated
 */
export function translating<Activities extends object>(
  activities: Activities,
  onFault: (activity: string, error: unknown) => void,
): Activities {
  const wrapped = Object.entries(activities as Record<string, (...args: unknown[]) => Promise<unknown>>).map(
    ([name, activity]) =>
      [
        name,
        async (...args: unknown[]) => {
          try {
            if (args[0] === undefined) throw unreadableInput();
            return await activity(...args);
          } catch (error) {
            if (!(error instanceof Refusal) && !(error instanceof ApplicationFailure)) onFault(name, error);
            throw translateFailure(error);
          }
        },
      ] as const,
  );
  return Object.fromEntries(wrapped) as Activities;
}
