import dns from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';

import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';

/** One answer of a name look-up. */
export type ResolvedAddress = { address: string; family: number };

/** Which addresses webhooks may go to, beside public ones. */
export type GuardedConnectorOptions = {
  /** Networks allowed though not public, such as `127.0.0.0/8` in development. */
  allowedCidrs: readonly string[];
  /** Milliseconds for look-up, TCP and TLS together. */
  connectTimeoutMs: number;
  /** A certificate (PEM) trusted beside Node's own roots. */
  extraCa?: string;
  /** Every address of a name; the system's resolver unless given. */
  lookup?: (hostname: string) => Promise<readonly ResolvedAddress[]>;
};

/** Our own policy forbids the address. The message names no address, since tenants see it; the field is for the security log. */
export class EgressBlocked extends Error {
  override readonly name = 'EgressBlocked';
  readonly code = 'EGRESS_BLOCKED';
  readonly address: string;

  constructor(address: string) {
    super('The host is not at a public address: use one that the internet can reach.');
    this.address = address;
  }
}

type Network = ReturnType<typeof ipaddr.parseCIDR>;

const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3');

function parseNetworks(cidrs: readonly string[]): Network[] {
  return cidrs.map((cidr) => {
    if (!ipaddr.isValidCIDR(cidr)) {
      throw new RangeError(`allowedCidrs: ${cidr} is no network; write it as 10.1.0.0/16 or fd00::/8`);
    }
    return ipaddr.parseCIDR(cidr);
  });
}

function isListed(address: string, networks: readonly Network[]): boolean {
  const ip = ipaddr.process(address);
  return networks.some(([net, bits]) => net.kind() === ip.kind() && ip.match(net, bits));
}

function isPublic(address: string): boolean {
  const ip = ipaddr.process(address);
  // Outside 2000::/3 nothing is assigned, yet ipaddr.js calls it unicast: ::127.0.0.1 among others.
  return ip.range() === 'unicast' && (ip.kind() === 'ipv4' || ip.match(GLOBAL_IPV6));
}

function isAllowed(address: string, networks: readonly Network[]): boolean {
  return ipaddr.isValid(address) && (isPublic(address) || isListed(address, networks));
}

/**
 * An undici connector that dials only public addresses and those in `allowedCidrs` (webhooks.md A7). A name is resolved once,
 * every address it has must be allowed, and those very addresses are dialled, so that a resolver that changes its answers
 * gains nothing; a literal address is judged before dialling, and the peer's address again before a request is written.
 * The name still decides the TLS server name and the certificate check. Fails with {@link EgressBlocked}.
 * @throws {RangeError} when an entry of `allowedCidrs` is no network
 */
export function createGuardedConnector(options: GuardedConnectorOptions): buildConnector.connector {
  const networks = parseNetworks(options.allowedCidrs);
  const resolve = options.lookup ?? ((hostname: string) => dns.lookup(hostname, { all: true }));

  async function resolveAllowed(hostname: string): Promise<ResolvedAddress[]> {
    const addresses = await resolve(hostname);
    const blocked = addresses.find(({ address }) => !isAllowed(address, networks));
    if (blocked !== undefined) throw new EgressBlocked(blocked.address);
    return [...addresses];
  }

  // Node dials the addresses that this one call answers; to choose among them, it asks for all.
  const lookup: LookupFunction = (hostname, _all, callback) => {
    resolveAllowed(hostname).then(
      (addresses) => {
        const none = Object.assign(new Error('The host has no address.'), { code: 'ENOTFOUND' });
        callback(addresses.length === 0 ? none : null, addresses);
      },
      (error: Error) => callback(error, []),
    );
  };

  const dial = buildConnector({
    lookup,
    autoSelectFamily: true,
    // Node's default cuts off an address that takes more than 250 ms, as one on another continent may.
    autoSelectFamilyAttemptTimeout: Math.max(250, Math.ceil(options.connectTimeoutMs / 4)),
    timeout: options.connectTimeoutMs,
    allowH2: false,
    // Said outright, so that no environment variable turns it off.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(options.extraCa !== undefined && { ca: [...rootCertificates, options.extraCa] }),
  });

  return (target, callback) => {
    // Node looks a literal address up nowhere.
    if (isIP(target.hostname) !== 0 && !isAllowed(target.hostname, networks)) {
      callback(new EgressBlocked(target.hostname), null);
      return;
    }
    dial(target, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      const peer = socket.remoteAddress ?? '';
      if (isAllowed(peer, networks)) {
        callback(null, socket);
      } else {
        socket.destroy();
        callback(new EgressBlocked(peer), null);
      }
    });
  };
}

/** What a webhook URL may be. */
export type WebhookUrlRules = {
  /** Plain http too: for development. */
  allowHttp: boolean;
  /** Ports beside 443; `any` for development, where ports are handed out. */
  allowedPorts: readonly number[] | 'any';
  /** Networks whose literal addresses are allowed. */
  allowedCidrs: readonly string[];
};

const MAX_URL_BYTES = 2_048;

/**
 * The one spelling of a URL that a destination is registered with: as the URL standard writes it, without a full stop
 * after the host. Or why it can't be one, as a sentence that never repeats it.
 */
export function normalWebhookUrl(url: string, rules: WebhookUrlRules): { url: string } | { problem: string } {
  const problem = checkWebhookUrl(url, rules);
  if (problem !== null) return { problem };
  const parsed = new URL(url);
  parsed.hostname = parsed.hostname.replace(/\.$/, '');
  // The parser also takes other slashes than two, an empty user, and a name of nothing.
  const isPlain = /^https?:\/\/[^/?@]+(?:[/?]|$)/i.test(url);
  if (!isPlain || parsed.hostname.split('.').includes('')) {
    return { problem: 'The URL does not begin with https:// and a host name: write it as https://host/path.' };
  }
  const longer = checkWebhookUrl(parsed.href, rules);
  return longer === null ? { url: parsed.href } : { problem: longer };
}

/**
 * Why a webhook can't go to this URL, as a sentence that never repeats it, or null. Says nothing about where a name
 * leads: only dialling can, through {@link createGuardedConnector}.
 */
export function checkWebhookUrl(url: string, rules: WebhookUrlRules, maxBytes = MAX_URL_BYTES): string | null {
  if (Buffer.byteLength(url) > maxBytes) return `The URL is longer than ${maxBytes} bytes: shorten it.`;
  // The parser drops these silently.
  if (/[\s\p{Cc}\\]/u.test(url)) return 'The URL holds white space, a control character or a backslash: remove it.';
  if (!URL.canParse(url)) return 'The URL is not a full address: write it as https://host/path.';
  const { protocol, username, password, port, hostname } = new URL(url);
  if (protocol !== 'https:' && !(rules.allowHttp && protocol === 'http:')) {
    return 'The URL must begin with https://.';
  }
  if (username !== '' || password !== '') return 'The URL holds a user name or a password: remove it.';
  if (url.includes('#')) return 'The URL holds a fragment (#…): remove it.';
  const effectivePort = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  if (effectivePort !== 443 && rules.allowedPorts !== 'any' && !rules.allowedPorts.includes(effectivePort)) {
    return `Port ${effectivePort} is not allowed: use 443.`;
  }
  const literal = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal) !== 0 && !isListed(literal, parseNetworks(rules.allowedCidrs))) {
    return 'The URL names an IP address: use a host name.';
  }
  return null;
}
