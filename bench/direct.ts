import type { MintedToken, MintOrder } from '../src/sharing/mint.ts';
import type { redeemShareToken } from '../src/sharing/redeem.ts';
import { startAsked } from './asked-process.ts';
import type { Timing } from './in-flight.ts';
import type { Lab } from './lab.ts';

export type RedeemCall = Parameters<typeof redeemShareToken>[1];

/** What the process is asked for, so many at once. */
export type DirectWork =
  | { readonly verb: 'mint'; readonly orders: readonly MintOrder[]; readonly atATime: number }
  | { readonly verb: 'import'; readonly calls: readonly RedeemCall[]; readonly atATime: number };

/** What it answers. Mints come in the order of their orders; an import mints nothing. */
export type DirectOutcome = Timing & { readonly minted: readonly MintedToken[] };

/** The verbs without HTTP, in a process of their own. */
export interface DirectCalls {
  mint(orders: readonly MintOrder[], atATime: number): Promise<DirectOutcome>;
  import(calls: readonly RedeemCall[], atATime: number): Promise<Timing>;
}

/**
 * Starts a process that calls the verbs of `src/sharing` on the transactions of `src/postgres`, with the pool, the keys and
 * the dispatch after each commit that the server has. It ends with the part.
 *
 * @param env as the server gets it
 */
export function startDirect(lab: Lab, env: Readonly<Record<string, string>>): DirectCalls {
  const ask: (work: DirectWork) => Promise<DirectOutcome> = startAsked(lab, 'direct-process.ts', env);
  return {
    mint: (orders, atATime) => ask({ verb: 'mint', orders, atATime }),
    import: (calls, atATime) => ask({ verb: 'import', calls, atATime }),
  };
}
