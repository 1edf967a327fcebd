import type { HandoffClient } from '../client.ts';
import { interruptiblePause } from '../interruptible-pause.ts';
import { forgetWishes, takeStarts } from '../postgres/outbox.ts';
import type { Tenants } from '../postgres/tenants.ts';

export interface StartRunsOptions {
  readonly tenants: Tenants;
  /** With the connection of the worker in this process: it gets the first task of each run that it starts. */
  readonly client: Pick<HandoffClient, 'startOnboarding'>;
  /** What went wrong, for the log; the wish is left to the relay. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between looks when nobody wakes it; default 1,000. */
  readonly pollMs?: number;
}

/** A process that starts runs. */
export interface RunStarter {
  /** Looks for wished runs now, instead of at the next poll. */
  wake(): void;
  /** Takes no more wishes, and waits for the starts under way. */
  stop(): Promise<void>;
}

const BATCH = 50;

/**
 * Starts the runs of onboardings that were just opened, all that are there at a time together. Temporal's answer to a
 * start brings the run's first task with it, so that no run queues for a worker.
 */
export function startRuns({ tenants, client, onError, pollMs = 1_000 }: StartRunsOptions): RunStarter {
  const stopping = new AbortController();
  let woken = false;
  const pause = interruptiblePause();

  async function round(): Promise<boolean> {
    const wishes = await tenants.acrossTenants('relay', (tx) => takeStarts(tx, BATCH));
    if (wishes.length === 0) return false;
    const outcomes = await Promise.allSettled(
      wishes.map(async ({ outboxId, run }) => {
        if (run !== null) await client.startOnboarding(run);
        return outboxId;
      }),
    );
    const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    if (done.length > 0) await tenants.acrossTenants('relay', async (tx) => forgetWishes(tx, done));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return wishes.length === BATCH;
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false;
      const more = await round().catch((error: unknown) => {
        onError(error);
        return false;
      });
      if (more || woken || stopping.signal.aborted) continue;
      await pause.wait(pollMs);
    }
  }

  const running = loop();
  return {
    wake: () => {
      woken = true;
      pause.end();
    },
    stop: async () => {
      stopping.abort();
      pause.end();
      await running;
    },
  };
}
