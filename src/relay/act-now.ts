import type { Wish } from '../postgres/tenants.ts';
import { carryOut, type CarryOutTools } from './carry-out.ts';

/** Carries wishes out in the process that committed them. */
export interface ActNow {
  /** Begins at once and never throws; what fails is left to the relay. */
  readonly afterCommit: (wishes: readonly Wish[]) => void;
  /** Resolves when nothing that was begun is under way; for an orderly end. */
  readonly idle: () => Promise<void>;
}

/**
 * The fast way from a commit to Temporal and the sender. Wishes of one transaction go in their order; runs are left to the
 * onboarding worker, see `startRuns`.
 */
export function actNow(tools: () => CarryOutTools, onError: (error: unknown) => void): ActNow {
  const underWay = new Set<Promise<void>>();
  return {
    afterCommit: (wishes) => {
      const work = inOrder(wishes, tools())
        .catch(onError)
        .finally(() => underWay.delete(work));
      underWay.add(work);
    },
    idle: async () => {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

async function inOrder(wishes: readonly Wish[], tools: CarryOutTools): Promise<void> {
  for (const wish of wishes) {
    if (wish.wish !== 'start') await carryOut(wish, tools);
  }
}
