import { setTimeout as pause } from 'node:timers/promises';
import { createCaller } from './caller.ts';
import { serverUrls } from './fleet.ts';
import { createRandom } from './random.ts';
import type { Rig } from './rig.ts';
import { look, onboard, share, type Story } from './stories.ts';

/** The load while it runs. */
export interface Load {
  /** Begins nothing more; resolves when what was begun has ended, in the partner simulator too. */
  stop(): Promise<void>;
}

/** Stories at once; more are not begun, so that an outage piles nothing up. */
const MOST_AT_ONCE = 100;

/**
 * Begins stories at a rate until it is stopped: two thirds are onboardings. A story that fails to be told (a fault of the
 * clients, not of the service) rejects `stop`.
 *
 * @param options.rate stories a second
 */
export function startLoad(
  rig: Pick<Rig, 'seed' | 'brands' | 'fleet' | 'ledger' | 'partner'>,
  { rate }: { readonly rate: number },
): Load {
  const random = createRandom(rig.seed ^ 0x10ad);
  const scene = { caller: createCaller(() => serverUrls(rig.fleet), rig.ledger), random, brands: rig.brands };
  const under = new Set<Promise<void>>();
  const faults: unknown[] = [];
  const stopping = new AbortController();
  let begun = 0;

  async function run(): Promise<void> {
    for (const start = Date.now(); !stopping.signal.aborted;) {
      if (under.size < MOST_AT_ONCE) tell(storyBy(random.next()));
      begun += 1;
      // By the time since the start, so that a late turn does not slow the load down.
      const nextIn = start + (begun * 1_000) / rate - Date.now();
      await pause(Math.max(1, nextIn), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  function tell(story: Story): void {
    const told = story(scene).catch((error: unknown) => void faults.push(error));
    under.add(told);
    void told.finally(() => under.delete(told));
  }

  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
      while (under.size > 0) await Promise.allSettled(under);
      await rig.partner.settled();
      if (faults.length > 0) throw new AggregateError(faults, `${faults.length} stories could not be told`);
    },
  };
}

function storyBy(chance: number): Story {
  if (chance < 0.65) return onboard;
  return chance < 0.9 ? share : look;
}
