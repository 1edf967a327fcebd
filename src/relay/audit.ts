import type { AnchorSigner } from '../audit/anchors.ts';
import type { AnchorStore } from '../audit/ports.ts';
import { ANCHOR_BATCH, recordAnchors, takeChainsToAnchor } from '../postgres/audit-anchors.ts';
import { applicationsToSeal, SEAL_BATCH, sealEvents, unsealedEvents } from '../postgres/audit-seal.ts';
import type { Tenants } from '../postgres/tenants.ts';

/** How the ends of chains are anchored outside the database. */
export interface Anchoring {
  readonly signer: AnchorSigner;
  readonly store: AnchorStore;
  /** The least time between two anchors of one application. */
  readonly everySeconds: number;
}

/**
 * Seals the events that wait, a batch of each application. Rejects when one fails, after all others.
 *
 * @returns whether there is more
 */
export async function sealWaitingEvents(tenants: Tenants): Promise<boolean> {
  const errors: unknown[] = [];
  let more = false;
  for (const applicationId of await tenants.acrossTenants('relay', applicationsToSeal)) {
    try {
      const sealed = await tenants.acrossTenants('relay', (tx) => sealEvents(tx, applicationId));
      more ||= sealed === SEAL_BATCH;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return more;
}

/** Events that wait to be sealed for longer than they should: ids of none. */
export interface UnsealedNotice {
  readonly events: number;
  /** The age of the oldest. */
  readonly seconds: number;
}

/** Sealing takes about a second; what takes longer than this is told of. */
const LATE_SECONDS = 60;

/** Tells of events that should be sealed by now: a relay that lags behind, or an entry of the queue that was tampered with. */
export async function watchUnsealed(tenants: Tenants, onNotice: (notice: UnsealedNotice) => void): Promise<void> {
  const { events, seconds } = await tenants.acrossTenants('relay', unsealedEvents);
  if (seconds > LATE_SECONDS) onNotice({ events, seconds: Math.round(seconds) });
}

/**
 * Signs the ends of chains that advanced, keeps them outside, and notes that they are there: a store that is away only
 * delays them.
 *
 * @returns whether there is more
 */
export async function anchorChains(tenants: Tenants, { signer, store, everySeconds }: Anchoring): Promise<boolean> {
  const ends = await tenants.acrossTenants('relay', (tx) => takeChainsToAnchor(tx, everySeconds));
  if (ends.length === 0) return false;
  const anchors = ends.map((end) => signer.sign(end));
  await store.append(anchors);
  await tenants.acrossTenants('relay', async (tx) => recordAnchors(tx, anchors));
  return ends.length === ANCHOR_BATCH;
}

/** Seals and anchors what is left at once, before the relay ends: once more each, whatever comes meanwhile. */
export async function sealAndAnchorLast(tenants: Tenants, anchoring: Anchoring): Promise<void> {
  await sealWaitingEvents(tenants);
  await anchorChains(tenants, { ...anchoring, everySeconds: 0 });
}
