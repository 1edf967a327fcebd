import { createHmac, hkdfSync } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RateLimits } from '../config.ts';
import { Refusal } from '../domain/failures.ts';
import { isDatabaseOutage } from '../postgres/outage.ts';
import type { Budget, Lease } from '../postgres/rate-limits.ts';

declare module 'fastify' {
  interface FastifyInstance {
    rateLimiter: RateLimiter;
  }
  interface FastifyContextConfig {
    /** `none`: calls of this route are not counted, or its handler counts them by {@link limitCall}. */
    rateLimit?: 'none';
  }
  interface FastifyRequest {
    /** Whose budget a call without an API key is taken from (`account:<id>`), when that is not its address's. */
    limitedBy: string | null;
  }
}

/** What is left after one call was taken, or that none was left. */
export interface Taken {
  readonly admitted: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Unix seconds of the window's end. */
  readonly resetsAt: number;
  /** Whole seconds until then, at least 1. */
  readonly retryAfter: number;
}

export interface RateLimiter {
  /** Takes one call; null when the database cannot be asked, so that nothing is known. */
  take(budget: Budget): Promise<Taken | null>;
  /** The bucket's name for an address: keyed hash of it, of an IPv6 address's /64. */
  addressBucket(address: string): string;
}

interface Window {
  /** By `now()`. */
  readonly endsAtMs: number;
  readonly resetsAt: number;
  /** Leased and not spent. */
  left: number;
  unleased: number;
  usedUp: boolean;
}

const LEASED_SHARE = 0.02;
const MAX_BUCKETS = 10_000;
/** Many people may be behind one address. */
const ADDRESS_FACTOR = 10;

/**
 * Counts calls over all processes without a write for each: a process leases small shares of a window's budget and
 * spends them in memory. The limit is never exceeded; what idle processes hold, 2 % of it each, may stay unused.
 *
 * @param lease asks the database for a share
 * @param now milliseconds of a steady clock
 */
export function createRateLimiter(options: {
  readonly lease: (budget: Budget, wanted: number) => Promise<Lease>;
  /** Addresses are hashed under a key that is derived from this one. */
  readonly key: Uint8Array;
  readonly now?: () => number;
}): RateLimiter {
  const now = options.now ?? (() => performance.now());
  const addressKey = Buffer.from(hkdfSync('sha256', options.key, '', 'handoff rate limits of addresses', 32));
  const windows = new Map<string, Window>();
  const asking = new Map<string, Promise<Window>>();

  function runningWindow(bucket: string): Window | undefined {
    const known = windows.get(bucket);
    return known !== undefined && known.endsAtMs > now() ? known : undefined;
  }

  async function ask(budget: Budget): Promise<Window> {
    // The window ends early rather than late: its time runs from before the question.
    const askedAt = now();
    const wanted = Math.min(budget.limit, Math.max(1, Math.floor(budget.limit * LEASED_SHARE)));
    const { granted, unleased, endsInMs, endsAt } = await options.lease(budget, wanted);
    if (windows.size >= MAX_BUCKETS) forgetEnded();
    const window: Window = {
      endsAtMs: askedAt + endsInMs,
      resetsAt: endsAt,
      left: granted,
      unleased,
      usedUp: granted === 0,
    };
    windows.set(budget.bucket, window);
    return window;
  }

  /** Askers of one bucket share one question. */
  function askOnce(budget: Budget): Promise<Window> {
    const under = asking.get(budget.bucket);
    if (under !== undefined) return under;
    const asked = ask(budget).finally(() => asking.delete(budget.bucket));
    asking.set(budget.bucket, asked);
    return asked;
  }

  function forgetEnded(): void {
    for (const [bucket, window] of windows) if (window.endsAtMs <= now()) windows.delete(bucket);
    // Forgotten leases stay unused, and forgotten windows are asked for again.
    if (windows.size >= MAX_BUCKETS) windows.clear();
  }

  return {
    take: async (budget) => {
      for (;;) {
        let window = runningWindow(budget.bucket);
        if (window === undefined || (window.left === 0 && !window.usedUp)) {
          try {
            window = await askOnce(budget);
          } catch (error) {
            if (isDatabaseOutage(error)) return null;
            throw error;
          }
        }
        const admitted = window.left > 0;
        // Others may have spent the whole lease before this asker's turn.
        if (!admitted && !window.usedUp) continue;
        if (admitted) window.left -= 1;
        return {
          admitted,
          limit: budget.limit,
          remaining: window.left + window.unleased,
          resetsAt: window.resetsAt,
          retryAfter: Math.max(1, Math.ceil((window.endsAtMs - now()) / 1000)),
        };
      }
    },
    addressBucket: (address) =>
      `address:${createHmac('sha256', addressKey).update(networkOf(address)).digest('base64url')}`,
  };
}

/**
 * Counts calls of every route but those that say `rateLimit: 'none'`: by key, else by whom `limitedBy` names, else by
 * address (contract row 24). Runs after the caller is proven.
 */
export function limitRoutes(app: FastifyInstance, limiter: RateLimiter, limits: RateLimits): void {
  app.decorate('rateLimiter', limiter);
  app.decorateRequest('limitedBy', null);
  app.addHook('onRequest', async (request, reply) => {
    const { needs, rateLimit } = request.routeOptions.config;
    if (needs === undefined || rateLimit === 'none') return;
    const reading = request.method === 'GET';
    const owner = request.caller === null ? request.limitedBy : `key:${request.caller.keyId}`;
    const limit = (reading ? limits.reads : limits.writes) * (owner === null ? ADDRESS_FACTOR : 1);
    const bucket = `${owner ?? limiter.addressBucket(request.ip)}:${reading ? 'reads' : 'writes'}`;
    await limitCall(reply, { bucket, limit, windowSeconds: 60 }, () =>
      reading
        ? `GET request rate limit exceeded. You can make up to ${limit} requests per minute.`
        : `Write request rate limit exceeded. You can make up to ${limit} requests per minute.`,
    );
  });
}

/**
 * Counts a call whose caller could not be proven, or may not do it, by its address. What is refused has a budget of its
 * own: guessing is slow, and whoever calls rightly from the same address is not held up by it.
 *
 * @throws {Refusal} `rate_limited`
 */
export function limitRefused(request: FastifyRequest, reply: FastifyReply, limits: RateLimits): Promise<void> {
  const bucket = `refused:${reply.server.rateLimiter.addressBucket(request.ip)}`;
  return limitCall(reply, { bucket, limit: limits.reads * ADDRESS_FACTOR, windowSeconds: 60 });
}

/**
 * Takes one call out of a budget and states what is left in the answer's headers. For a budget of a route's own, e.g.
 * `{ bucket: `register:${app.rateLimiter.addressBucket(request.ip)}`, limit: 5, windowSeconds: 3600 }`.
 *
 * @throws {Refusal} `rate_limited`
 */
export async function limitCall(
  reply: FastifyReply,
  budget: Budget,
  sentence = (taken: Taken) => `Request was throttled. Expected available in ${taken.retryAfter} seconds.`,
): Promise<void> {
  const taken = await reply.server.rateLimiter.take(budget);
  // The call goes on, and fails where it needs the database itself.
  if (taken === null) return;
  void reply.headers({
    'x-ratelimit-limit': taken.limit,
    'x-ratelimit-remaining': taken.remaining,
    'x-ratelimit-reset': taken.resetsAt,
  });
  if (taken.admitted) return;
  void reply.header('retry-after', taken.retryAfter);
  throw new Refusal('rate_limited', { detail: sentence(taken) });
}

/** An IPv6 address's /64, which is one customer's; an IPv4 address as it is. */
function networkOf(address: string): string {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(bare)) return bare;
  const [head = '', tail = ''] = bare.toLowerCase().split('::', 2);
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = bare.includes('::') ? Array.from({ length: 8 - left.length - right.length }, () => '0') : [];
  return [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
