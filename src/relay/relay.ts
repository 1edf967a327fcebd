import { setTimeout as pause } from 'node:timers/promises';
import type { HandoffClient } from '../client.ts';
import type { MediaStore } from '../media/ports.ts';
import { sweepMedia } from '../media/sweep.ts';
import { closeShareToken } from '../sharing/close.ts';
import { endImport } from '../sharing/import-file.ts';
import {
  forgetIdempotencyKeys,
  runToStart,
  settleLostAttempts,
  takeOnboardingsToCheck,
  takeWishes,
  unspentAcknowledgement,
  wishOverdueDeliveries,
} from '../postgres/outbox.ts';
import { forgetExpiredKeys } from '../postgres/data-keys.ts';
import { wishOverdueFetches } from '../postgres/media-fetches.ts';
import { forgetEmailThrottles } from '../postgres/email-throttle.ts';
import { forgetRateLimitWindows } from '../postgres/rate-limits.ts';
import { takeImportsToCheck } from '../postgres/session-imports.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import type { Tenants } from '../postgres/tenants.ts';
import type { DestinationNotice } from '../postgres/destination-upkeep.ts';
import type { WebhookRetention } from '../postgres/webhook-retention.ts';
import {
  anchorChains,
  sealAndAnchorLast,
  sealWaitingEvents,
  watchUnsealed,
  type Anchoring,
  type UnsealedNotice,
} from './audit.ts';
import { carryOut } from './carry-out.ts';
import { tendSigningKeys } from './signing-keys.ts';
import { forgetOldWebhooks, moveDeliveries, tendDestinations } from './webhook-upkeep.ts';

export interface RelayOptions {
  readonly tenants: Tenants;
  readonly handoff: HandoffTenants;
  readonly client: HandoffClient;
  readonly media: MediaStore;
  /** What went wrong, for the log; the relay goes on. */
  readonly onError: (error: unknown) => void;
  /** A webhook destination that nothing gets through to, for the log. */
  readonly onNotice: (notice: DestinationNotice) => void;
  /** Events that are not sealed in time, for the log. */
  readonly onUnsealed: (notice: UnsealedNotice) => void;
  readonly retention: WebhookRetention;
  readonly anchoring: Anchoring;
  /** Milliseconds between looks at the outbox; default 1,000. */
  readonly pollMs?: number;
  /** Seconds after which an open onboarding is compared with its run again; default 10. */
  readonly checkSeconds?: number;
}

const BATCH = 100;
/** Between two looks for files that nobody refers to any more. */
const SWEEP_MS = 3 * 60_000;
/** Between two looks for webhooks that are kept no longer. */
const RETENTION_MS = 10 * 60_000;

/**
 * Carries out what the callers' processes could not: the wishes that are left, and the rows whose runs somebody ended
 * or Temporal lost.
 *
 * @returns stops the relay after the round under way, with every event sealed and anchored
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
    repeatedly(pollMs, () => moveDeliveries(options.tenants)),
    repeatedly(pollMs, () => tendSigningKeys(options.handoff)),
    repeatedly(pollMs, () => sealWaitingEvents(options.tenants)),
    repeatedly(pollMs, () => anchorChains(options.tenants, options.anchoring)),
    repeatedly(60_000, () => tidy(options)),
    repeatedly(60_000, () => tend(options)),
    repeatedly(60_000, () => watch(options)),
    repeatedly(RETENTION_MS, () => forgetOldWebhooks(options.tenants, options.retention)),
    repeatedly(SWEEP_MS, () => sweepMedia(options.tenants, options.media)),
  ]);
  return {
    stop: async () => {
      stopping.abort();
      await running;
      await sealAndAnchorLast(options.tenants, options.anchoring).catch(options.onError);
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
  const idleSeconds = options.checkSeconds ?? 10;
  const [onboardings, imports] = await tenants.acrossTenants('relay', (tx) =>
    Promise.all([takeOnboardingsToCheck(tx, idleSeconds, BATCH), takeImportsToCheck(tx, idleSeconds, BATCH)]),
  );
  const outcomes = await Promise.allSettled([
    ...onboardings.map(({ tokenId }) => compare(tokenId, options)),
    ...imports.map(({ importId }) => compareImport(importId, options)),
  ]);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) onError(failed.reason);
  return Math.max(onboardings.length, imports.length) === BATCH && failed === undefined;
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

/** The same for a file of sessions. A run that completed has ended its import, unless the row was read just before. */
async function compareImport(importId: string, { handoff, client }: RelayOptions): Promise<void> {
  const state = await client.describeSessionImport(importId);
  if (state === 'running') return;
  if (state === 'unknown') {
    await client.startSessionImport(importId);
    return;
  }
  const stopped = state === 'terminated' || state === 'canceled';
  await handoff.acrossTenants('relay', (tx) =>
    endImport(tx, importId, stopped ? 'cancelled' : 'failed', stopped ? 'run_terminated' : 'run_failed', {
      kind: 'system',
      id: null,
    }),
  );
}

async function tidy({ tenants }: RelayOptions): Promise<boolean> {
  await tenants.acrossTenants('relay', async (tx) => {
    settleLostAttempts(tx);
    forgetIdempotencyKeys(tx);
    forgetRateLimitWindows(tx);
    forgetEmailThrottles(tx);
    forgetExpiredKeys(tx);
    wishOverdueFetches(tx);
    // Last: it keeps deliveries locked, and nothing after it waits for others.
    wishOverdueDeliveries(tx);
  });
  return false;
}

async function watch({ tenants, onUnsealed }: RelayOptions): Promise<boolean> {
  await watchUnsealed(tenants, onUnsealed);
  return false;
}

async function tend({ handoff, onNotice }: RelayOptions): Promise<boolean> {
  await tendDestinations(handoff, onNotice);
  return false;
}
