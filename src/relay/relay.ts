import { setTimeout as pause } from 'node:timers/promises';
import type { HandoffClient } from '../client.ts';
import { closeShareToken } from '../sharing/close.ts';
import {
  forgetIdempotencyKeys,
  runToStart,
  settleLostAttempts,
  takeOnboardingsToCheck,
  takeWishes,
  unspentAcknowledgement,
  wishOverdueDeliveries,
} from '../postgres/outbox.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import type { Tenants } from '../postgres/tenants.ts';
import { carryOut } from './carry-out.ts';

export interface RelayOptions {
  readonly tenants: Tenants;
  readonly handoff: HandoffTenants;
  readonly client: HandoffClient;
  /** What went wrong, for the log; the relay goes on. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between looks at the outbox; default 1,000. */
  readonly pollMs?: number;
  /** Seconds after which an open onboarding is compared with its run again; default 10. */
  readonly checkSeconds?: number;
}

const BATCH = 100;

/**
 * Carries out what the callers' processes could not: the wishes that are left, and the rows whose runs somebody ended
 * or Temporal lost.
 *
 * @returns stops the relay after the round under way
 */
export function startRelay(options: RelayOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  async function repeatedly(everyMs: number, round: () => Promise<boolean>): Promise<void> {
    while (!stopping.signal.aborted) {
      let more = false;
      try {
        more = await round();
      } catch (error) {
        options.onError(error);
      }
      // Ends at once when stopped, also when that was during the round.
      if (!more) await pause(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  const pollMs = options.pollMs ?? 1_000;
  const running = Promise.all([
    repeatedly(pollMs, () => carryOutWishes(options)),
    repeatedly(pollMs, () => compareWithTemporal(options)),
    repeatedly(60_000, () => tidy(options)),
  ]);
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

async function carryOutWishes(options: RelayOptions): Promise<boolean> {
  const { tenants, client, onError } = options;
  const wishes = await tenants.acrossTenants('relay', (tx) => takeWishes(tx, BATCH));
  const outcomes = await Promise.allSettled(wishes.map((wish) => carryOut(wish, { tenants, client })));
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  for (const { reason } of failed.slice(0, 1)) onError(reason);
  return wishes.length === BATCH && failed.length === 0;
}

/** `semantics.md`, "Runs, relay, outages": a dead run's row is closed, a run that Temporal never heard of is started. */
async function compareWithTemporal(options: RelayOptions): Promise<boolean> {
  const { tenants, onError } = options;
  const rows = await tenants.acrossTenants('relay', (tx) =>
    takeOnboardingsToCheck(tx, options.checkSeconds ?? 10, BATCH),
  );
  const outcomes = await Promise.allSettled(rows.map(({ tokenId }) => compare(tokenId, options)));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) onError(failed.reason);
  return rows.length === BATCH && failed === undefined;
}

async function compare(tokenId: string, { tenants, handoff, client }: RelayOptions): Promise<void> {
  const state = await client.describeOnboarding(tokenId);
  switch (state) {
    case 'running':
      return;
    case 'unknown': {
      const [run, acknowledgementId] = await tenants.acrossTenants('relay', (tx) =>
        Promise.all([runToStart(tx, tokenId), unspentAcknowledgement(tx, tokenId)]),
      );
      if (run === null) return;
      await client.startOnboarding(run);
      if (acknowledgementId !== null) await client.signalOnboarding(tokenId, 'partnerAcknowledged', acknowledgementId);
      return;
    }
    case 'completed':
    case 'canceled':
    case 'terminated':
    case 'failed':
    case 'timed_out': {
      // A run that completed or was cancelled has closed its row, unless the row was read just before.
      const reason = state === 'terminated' || state === 'canceled' ? 'run_terminated' : 'run_failed';
      await handoff.acrossTenants('relay', (tx) =>
        closeShareToken(tx, tokenId, { as: 'revoked', reason }, { kind: 'system', id: null }),
      );
    }
  }
}

async function tidy({ tenants }: RelayOptions): Promise<boolean> {
  await tenants.acrossTenants('relay', async (tx) => {
    wishOverdueDeliveries(tx);
    settleLostAttempts(tx);
    forgetIdempotencyKeys(tx);
  });
  return false;
}
