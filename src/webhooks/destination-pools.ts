import type { Pool } from 'undici';

/** Connections, kept for each destination by itself. */
export interface DestinationPools {
  /** Those of a destination to an origin: the kept ones, or new ones. */
  readonly of: (destinationId: string, origin: string) => Pool;
  /** Waits for what is under way and closes all of them. */
  readonly close: () => Promise<void>;
}

/**
 * Keeps pools as long as they have a connection or something to do, and `max` at most: the one that was used longest ago
 * then finishes what it has and closes.
 *
 * @param open makes a destination's pool to an origin
 */
export function createDestinationPools(open: (origin: string) => Pool, max: number): DestinationPools {
  /** The one that was used last at the end. */
  const pools = new Map<string, Pool>();
  const closing = new Set<Promise<void>>();

  function retire(key: string, pool: Pool): void {
    pools.delete(key);
    const closed: Promise<void> = pool.close().finally(() => closing.delete(closed));
    closing.add(closed);
  }

  function openFor(key: string, origin: string): Pool {
    const pool = open(origin);
    const retireWhenIdle = () => {
      const { connected, size } = pool.stats;
      if (connected === 0 && size === 0 && pools.get(key) === pool) retire(key, pool);
    };
    return pool.on('disconnect', retireWhenIdle).on('connectionError', retireWhenIdle);
  }

  return {
    of: (destinationId, origin) => {
      const key = `${destinationId} ${origin}`;
      const pool = pools.get(key) ?? openFor(key, origin);
      pools.delete(key);
      pools.set(key, pool);
      const [oldest] = pools;
      if (pools.size > max && oldest !== undefined) retire(...oldest);
      return pool;
    },
    close: async () => {
      for (const [key, pool] of pools) retire(key, pool);
      await Promise.all(closing);
    },
  };
}
