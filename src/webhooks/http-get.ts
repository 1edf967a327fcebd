import { Agent, type Dispatcher } from 'undici';
import {
  checkWebhookUrl,
  createGuardedConnector,
  type ResolvedAddress,
  type WebhookUrlRules,
} from './address-guard.ts';
import { describeFailure, type PostFailureCode } from './http-post.ts';

/** What came of one download. Nothing in it holds the URL. */
export type GetOutcome =
  | { readonly kind: 'file'; readonly bytes: Buffer }
  /** An answer other than 200, its body unread. */
  | { readonly kind: 'refused'; readonly status: number }
  /** A body that is packed, which would be unpacked without bounds. */
  | { readonly kind: 'encoded' }
  | { readonly kind: 'failure'; readonly code: PostFailureCode };

/** Settings of a getter; times in milliseconds. */
export type GuardedGetterOptions = WebhookUrlRules & {
  /** For look-up, TCP and TLS. Default 5,000. */
  connectTimeoutMs?: number;
  /** For the whole download, waiting for a connection included. Default 60,000. */
  totalTimeoutMs?: number;
  /** The largest file. */
  maxBytes: number;
  /** Downloads from one origin at a time. Default 8. */
  connectionsPerOrigin?: number;
  /** See `createGuardedConnector`. */
  extraCa?: string;
  /** See `createGuardedConnector`. */
  lookup?: (hostname: string) => Promise<readonly ResolvedAddress[]>;
};

/** Downloads files from addresses that the guard allows. */
export type GuardedGetter = {
  /** One attempt. Rejects only when given up by its signal. */
  readonly get: (url: string, signal?: AbortSignal) => Promise<GetOutcome>;
  readonly close: () => Promise<void>;
};

/** A signed link carries its credentials in its query. */
const MAX_URL_BYTES = 8_192;

/**
 * A getter with its own connections, which dial through the address guard. Follows no redirect, unpacks nothing, stops
 * reading at the largest size, and bounds the whole download by one clock.
 *
 * @throws {RangeError} when an entry of `allowedCidrs` is no network
 */
export function createGuardedGetter(options: GuardedGetterOptions): GuardedGetter {
  const { connectTimeoutMs = 5_000, totalTimeoutMs = 60_000, maxBytes, extraCa, lookup } = options;
  const agent = new Agent({
    allowH2: false,
    headersTimeout: totalTimeoutMs,
    bodyTimeout: totalTimeoutMs,
    maxResponseSize: maxBytes,
    connections: options.connectionsPerOrigin ?? 8,
    connect: createGuardedConnector({
      allowedCidrs: options.allowedCidrs,
      connectTimeoutMs,
      ...(extraCa !== undefined && { extraCa }),
      ...(lookup !== undefined && { lookup }),
    }),
  });

  return {
    get: async (url, signal) => {
      signal?.throwIfAborted();
      if (checkWebhookUrl(url, options, MAX_URL_BYTES) !== null) return { kind: 'failure', code: 'egress_blocked' };
      const clock = new AbortController();
      // The code by which a time limit is told.
      const late = Object.assign(new Error('late'), { code: 'ATTEMPT_TIMEOUT' });
      const timer = setTimeout(() => clock.abort(late), totalTimeoutMs);
      const giveUp = () => clock.abort(signal?.reason);
      signal?.addEventListener('abort', giveUp, { once: true });
      try {
        return await download(agent, url, clock.signal);
      } catch (error) {
        signal?.throwIfAborted();
        return { kind: 'failure', code: describeFailure(error as Error).code };
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      }
    },
    close: () => agent.close(),
  };
}

async function download(agent: Dispatcher, url: string, signal: AbortSignal): Promise<GetOutcome> {
  const { origin, pathname, search } = new URL(url);
  const { statusCode, headers, body } = await agent.request({
    origin,
    path: `${pathname}${search}`,
    method: 'GET',
    headers: { accept: '*/*', 'accept-encoding': 'identity' },
    signal,
  });
  const encoding = headers['content-encoding'] ?? 'identity';
  if (statusCode === 200 && encoding === 'identity') return { kind: 'file', bytes: Buffer.from(await body.bytes()) };
  // Cuts the connection: reading on would be the sender's to bound. Its own error is of no interest.
  body.on('error', () => {}).destroy();
  return statusCode === 200 ? { kind: 'encoded' } : { kind: 'refused', status: statusCode };
}
