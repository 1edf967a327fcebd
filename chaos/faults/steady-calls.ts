import { setTimeout as pause } from 'node:timers/promises';
import { serverUrls } from '../fleet.ts';
import type { Rig } from '../rig.ts';

/** What became of the calls so far. */
export interface SteadyCalls {
  readonly answered: () => number;
  /** Nobody listened: the caller went to the other server. */
  readonly refused: () => number;
  /** Sentences for what else went wrong. */
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

const EVERY_MS = 50;
const PATIENCE_MS = 20_000;

/**
 * Calls each server at a steady pace, by a caller of its own with connections that it keeps: what a load balancer does,
 * which goes on to the other server when one refuses, and to which any other failure is one that a customer sees.
 */
export function startSteadyCalls({ fleet, brands }: Pick<Rig, 'fleet' | 'brands'>): SteadyCalls {
  const stopping = new AbortController();
  const failures: string[] = [];
  let [answered, refused] = [0, 0];

  async function call(url: string, key: string): Promise<void> {
    try {
      const options = { headers: { 'x-api-key': key }, signal: AbortSignal.timeout(PATIENCE_MS) };
      const answer = await fetch(new URL('/v1/connections/', url), options);
      await answer.arrayBuffer();
      if (answer.status === 200) answered += 1;
      else failures.push(`${url} answered ${answer.status}`);
    } catch (error) {
      const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
      if (code === 'ECONNREFUSED') refused += 1;
      else failures.push(`${url}: ${code ?? message}`);
    }
  }

  async function callOneServer(url: string): Promise<void> {
    const under = new Set<Promise<void>>();
    for (let turn = 0; !stopping.signal.aborted; turn += 1) {
      const made = call(url, brands[turn % brands.length]?.key ?? '');
      under.add(made);
      void made.finally(() => under.delete(made));
      await pause(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await Promise.all(under);
  }

  const running = Promise.all(serverUrls(fleet).map((url) => callOneServer(url)));
  return {
    answered: () => answered,
    refused: () => refused,
    failures,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
