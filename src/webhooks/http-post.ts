import type { Socket } from 'node:net';
import { Client, errors, Pool, type buildConnector, type Dispatcher } from 'undici';

import {
  checkWebhookUrl,
  createGuardedConnector,
  type ResolvedAddress,
  type WebhookUrlRules,
} from './address-guard.ts';
import { createDestinationPools } from './destination-pools.ts';

/** Why an attempt got no reply. */
export type PostFailureCode =
  | 'egress_blocked'
  | 'timeout'
  | 'dns'
  | 'connect'
  | 'tls'
  | 'reset'
  | 'response_too_large'
  | 'failed';

/** A reply whose headers arrived in time, whatever became of its body. */
export type PostReply = {
  kind: 'reply';
  status: number;
  /** The `retry-after` header as sent. */
  retryAfter: string | null;
  /** The `webhook-delivery` header as sent. */
  webhookDelivery: string | null;
  /** The web host that a `location` header points to; what else it holds may be secret. */
  locationHost: string | null;
  /** The beginning of the body as text. It is the receiver's: show it escaped only. */
  bodyHead: string;
  /** True when `bodyHead` is not the whole body: long, cut off, or still dripping at the time limit. */
  bodyTruncated: boolean;
  connectedIp: string | null;
  durationMs: number;
};

/** An attempt without a reply. The message never holds the URL, a header or a body. */
export type PostFailure = {
  kind: 'failure';
  code: PostFailureCode;
  message: string;
  connectedIp: string | null;
  durationMs: number;
};

/** What came of one attempt. */
export type PostOutcome = PostReply | PostFailure;

/** One attempt to make. */
export type WebhookPost = {
  /** Whose connections it goes over: no destination waits for another's, or reads what was left on one. */
  destinationId: string;
  url: string;
  headers: Record<string, string>;
  body: string | Buffer;
};

/** Settings of a poster; times in milliseconds, defaults from webhooks.md A5. */
export type WebhookPosterOptions = WebhookUrlRules & {
  /** For look-up, TCP and TLS. Default 5,000. */
  connectTimeoutMs?: number;
  /** From the request to the reply's headers. Default 10,000. */
  headersTimeoutMs?: number;
  /** For the whole attempt, body and waiting for a connection included. Default 15,000. */
  attemptTimeoutMs?: number;
  /** Bytes of a reply, its headers and their like included, that are read before the connection is cut. Default 65,536. */
  maxReplyBytes?: number;
  /** Bytes of a reply that are kept. Default 4,096. */
  keptReplyBytes?: number;
  /** Connections of one destination at a time. Default 10, as many as it has requests in flight. */
  connectionsPerDestination?: number;
  /** Destinations whose connections are kept; beyond them those that were used longest ago close. Default 1,024. */
  keptDestinations?: number;
  /** See `createGuardedConnector`. */
  extraCa?: string;
  /** See `createGuardedConnector`. */
  lookup?: (hostname: string) => Promise<readonly ResolvedAddress[]>;
};

/** Sends webhooks over connections that it keeps and reuses. */
export type WebhookPoster = {
  /** One attempt: never a redirect, never a retry. Rejects only after `close`. */
  readonly post: (post: WebhookPost) => Promise<PostOutcome>;
  /** Waits for the attempts under way and closes every connection. */
  readonly close: () => Promise<void>;
};

/** A client's connection of the moment: who is at its other end, and how much a reply has brought. */
class Link {
  #socket: Socket | null = null;
  #watched = false;
  #exchange: Exchange | null = null;
  #bytesBefore = 0;
  readonly #maxReplyBytes: number;

  constructor(maxReplyBytes: number) {
    this.#maxReplyBytes = maxReplyBytes;
  }

  connected(socket: Socket | null): void {
    this.#socket = socket;
    this.#watched = false;
  }

  /** Counts for an exchange from now on, and returns the other end's address. */
  carry(exchange: Exchange): string | null {
    const socket = this.#socket;
    if (socket === null) return null;
    this.#exchange = exchange;
    this.#bytesBefore = socket.bytesRead;
    // Once undici listens, so that it has read the headers of what is then cut off. It counts bodies by itself, but
    // neither 1xx replies nor what decorates a chunk.
    if (!this.#watched) {
      socket.on('readable', () => {
        if (socket.bytesRead - this.#bytesBefore > this.#maxReplyBytes) this.#exchange?.abandon(new ReplyTooLarge());
      });
    }
    this.#watched = true;
    return socket.remoteAddress ?? null;
  }
}

/** One connection that tells each exchange its link. */
class TracedClient extends Client {
  readonly #link: Link;

  constructor(origin: URL, options: Client.Options, connector: buildConnector.connector, maxReplyBytes: number) {
    const link = new Link(maxReplyBytes);
    super(origin, {
      ...options,
      connect: (target, callback) =>
        connector(target, (...result) => {
          link.connected(result[1]);
          callback(...result);
        }),
    });
    this.#link = link;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if ('opaque' in options && options.opaque instanceof Exchange) options.opaque.link = this.#link;
    return super.dispatch(options, handler);
  }
}

class AttemptTimeout extends Error {
  readonly code = 'ATTEMPT_TIMEOUT';
}

class ReplyTooLarge extends Error {
  readonly code = 'REPLY_TOO_LARGE';
}

/**
 * Collects one reply as undici hands it out. Settles once: with the end of the reply, its failure, or at once when
 * abandoned, even while the request still waits for a connection; it is then never sent.
 */
class Exchange implements Dispatcher.DispatchHandler {
  link: Link | null = null;
  connectedIp: string | null = null;
  status: number | null = null;
  headers: Record<string, string | string[] | undefined> = {};
  readonly settled: Promise<Error | null>;
  #settle: (error: Error | null) => void = () => {};
  #controller: Dispatcher.DispatchController | null = null;
  #abandoned: Error | null = null;
  #received = 0;
  readonly #kept: Buffer[] = [];
  readonly #keep: number;

  constructor(keep: number) {
    this.#keep = keep;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  abandon(reason: Error): void {
    this.#abandoned = reason;
    this.#settle(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#abandoned !== null) {
      controller.abort(this.#abandoned);
      return;
    }
    this.#controller = controller;
    this.connectedIp = this.link?.carry(this) ?? null;
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    // 1xx only announces the reply.
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    if (this.#received < this.#keep) this.#kept.push(chunk.subarray(0, this.#keep - this.#received));
    this.#received += chunk.length;
  }

  onResponseEnd(): void {
    this.#settle(null);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#settle(error);
  }

  /** The beginning of the body as text that PostgreSQL can hold, which has no NUL. */
  body(cut: boolean): { bodyHead: string; bodyTruncated: boolean } {
    const bodyTruncated = cut || this.#received > this.#keep;
    if (this.#received === 0) return { bodyHead: '', bodyTruncated };
    const bytes = Buffer.concat(this.#kept);
    // Streaming drops a character that was cut in two.
    const text = bodyTruncated ? new TextDecoder().decode(bytes, { stream: true }) : bytes.toString('utf8');
    return { bodyHead: text.replaceAll('\0', '\uFFFD'), bodyTruncated };
  }

  header(name: string): string | null {
    const value = this.headers[name];
    return (Array.isArray(value) ? value[0] : value) ?? null;
  }
}

const MESSAGES: Record<PostFailureCode, string> = {
  egress_blocked: 'The address is not allowed',
  timeout: 'No reply in time',
  dns: 'The host name was not found',
  connect: 'No connection',
  tls: 'The TLS connection was refused: check the certificate',
  reset: 'The connection was closed before a reply',
  response_too_large: 'The reply is too large',
  failed: 'The request failed',
};

const CODES: readonly [RegExp, PostFailureCode][] = [
  [/^EGRESS_BLOCKED$/, 'egress_blocked'],
  [/^(?:ATTEMPT_TIMEOUT|UND_ERR_(?:CONNECT|HEADERS)_TIMEOUT|ETIMEDOUT)$/, 'timeout'],
  [/^(?:ENOTFOUND|ENODATA|EAI_)/, 'dns'],
  [/^(?:ECONNREFUSED|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)$/, 'connect'],
  [
    /^(?:ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA$)/,
    'tls',
  ],
  [/^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET)$/, 'reset'],
  [/^(?:REPLY_TOO_LARGE|UND_ERR_(?:HEADERS_OVERFLOW|RES_EXCEEDED_MAX_SIZE))$/, 'response_too_large'],
];

/** The code of what went wrong while sending or receiving, and a sentence that names neither host nor content. */
export function describeFailure(error: Error): { code: PostFailureCode; message: string } {
  if (error instanceof errors.HTTPParserError) return { code: 'failed', message: 'The reply is not valid HTTP.' };
  const systemCode = 'code' in error ? String(error.code) : '';
  const code = CODES.find(([pattern]) => pattern.test(systemCode))?.[1] ?? 'failed';
  // The system's own message may hold the host, so its code must do.
  return { code, message: `${MESSAGES[code]}${systemCode === '' ? '' : ` (${systemCode})`}.` };
}

const MAX_HOST_LENGTH = 253;

/** Of web addresses only: of any other scheme the host may be any text. */
function hostOf(location: string | null, base: string): string | null {
  if (location === null || !URL.canParse(location, base)) return null;
  const { protocol, hostname, host } = new URL(location, base);
  const isWeb = protocol === 'https:' || protocol === 'http:';
  return isWeb && hostname.length <= MAX_HOST_LENGTH ? host : null;
}

type Target = { problem: string } | { problem: null; origin: string; path: string };

function splitUrl(url: string): Target {
  const { origin, pathname, search } = new URL(url);
  return { problem: null, origin, path: `${pathname}${search}` };
}

/** However long a receiver offers to keep a connection. */
const KEEP_ALIVE_MAX_MS = 30_000;

const REMEMBERED_URLS = 1_024;

/** Judges and splits URLs, and remembers: a destination's URL comes with every event. */
function createTargetReader(rules: WebhookUrlRules): (url: string) => Target {
  const targets = new Map<string, Target>();
  return (url) => {
    const known = targets.get(url);
    if (known !== undefined) return known;
    if (targets.size >= REMEMBERED_URLS) targets.clear();
    const problem = checkWebhookUrl(url, rules);
    const target = problem === null ? splitUrl(url) : { problem };
    targets.set(url, target);
    return target;
  };
}

/**
 * A poster with its own connections, which dial through the address guard. Replies are not inflated and redirects not
 * followed; one clock bounds the whole attempt, since undici's body timeout starts again with each byte.
 * @throws {RangeError} when an entry of `allowedCidrs` is no network
 */
export function createWebhookPoster(options: WebhookPosterOptions): WebhookPoster {
  const { attemptTimeoutMs = 15_000, connectTimeoutMs = 5_000, extraCa, lookup } = options;
  const { maxReplyBytes = 65_536, keptReplyBytes = 4_096 } = options;
  const connector = createGuardedConnector({
    allowedCidrs: options.allowedCidrs,
    connectTimeoutMs,
    ...(extraCa !== undefined && { extraCa }),
    ...(lookup !== undefined && { lookup }),
  });
  // A connection that brings bytes while no request is out is dropped by undici; what comes just after the next request
  // was written cannot be told from its reply, but then misleads none but the destination that sent it.
  const openPool = (origin: string) =>
    new Pool(origin, {
      allowH2: false,
      headersTimeout: options.headersTimeoutMs ?? 10_000,
      bodyTimeout: 0,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      connections: options.connectionsPerDestination ?? 10,
      connect: connector,
      factory: (target, clientOptions) => new TracedClient(target, clientOptions, connector, maxReplyBytes),
    });
  const pools = createDestinationPools(openPool, options.keptDestinations ?? 1_024);

  const readTarget = createTargetReader(options);
  let closing: Promise<void> | null = null;

  async function post({ destinationId, url, headers, body }: WebhookPost): Promise<PostOutcome> {
    // No outcome: it must not count as an attempt of the receiver's.
    if (closing !== null) throw new Error('The webhook poster is closed: make another to send more.');
    const started = performance.now();
    const exchange = new Exchange(keptReplyBytes);
    const end = () => ({
      connectedIp: exchange.connectedIp,
      durationMs: Math.round(performance.now() - started),
    });
    const target = readTarget(url);
    if (target.problem !== null) return { kind: 'failure', code: 'egress_blocked', message: target.problem, ...end() };

    const request: Dispatcher.RequestOptions<Exchange> = {
      origin: target.origin,
      path: target.path,
      method: 'POST',
      headers: { ...headers, 'accept-encoding': 'identity' },
      body,
      opaque: exchange,
    };
    // A cleared timer; AbortSignal.timeout would keep every finished attempt for the whole limit.
    const timer = setTimeout(() => exchange.abandon(new AttemptTimeout()), attemptTimeoutMs);
    pools.of(destinationId, target.origin).dispatch(request, exchange);
    const error = await exchange.settled;
    clearTimeout(timer);

    if (exchange.status !== null) {
      return {
        kind: 'reply',
        status: exchange.status,
        retryAfter: exchange.header('retry-after'),
        webhookDelivery: exchange.header('webhook-delivery'),
        locationHost: hostOf(exchange.header('location'), url),
        ...exchange.body(error !== null),
        ...end(),
      };
    }
    return { kind: 'failure', ...describeFailure(error ?? new Error('no reply')), ...end() };
  }

  return { post, close: () => (closing ??= pools.close()) };
}
