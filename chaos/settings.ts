import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where our processes find what they stand on. */
export interface Surroundings {
  /** Of the run: files and anchors are kept below it. */
  readonly folder: string;
  /** By the proxy. */
  readonly databaseUrl: string;
  /** `host:port`, by the proxy. */
  readonly temporalAddress: string;
  /** Origin in links to files. */
  readonly publicUrl: string;
}

/**
 * What each of our processes is started with: this process's environment without what it says of Temporal, and keys that
 * are new for each run. Webhooks may go to loopback, and no rate limit is in the way.
 */
export function settingsFor({ folder, databaseUrl, temporalAddress, publicUrl }: Surroundings): Record<string, string> {
  const key = () => randomBytes(32).toString('base64url');
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('TEMPORAL_'),
  );
  return {
    ...Object.fromEntries(inherited),
    SHARE_TOKEN_KEYS: `chaos-1:${key()}`,
    KEY_ENCRYPTION_KEYS: `chaos-1:${key()}`,
    CONTENT_ENCRYPTION_KEYS: `chaos-1:${key()}`,
    ACCESS_TOKEN_KEY: key(),
    BLIND_INDEX_KEY: key(),
    MEDIA_LINK_KEY: key(),
    AUDIT_SIGNING_KEY: key(),
    AUDIT_ANCHORS: pathToFileURL(join(folder, 'anchors')).href,
    MEDIA_STORE: pathToFileURL(join(folder, 'media')).href,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporalAddress,
    PUBLIC_URL: publicUrl,
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8',
    RATE_LIMIT_READS: '10000000',
    RATE_LIMIT_WRITES: '10000000',
    LOG_LEVEL: 'info',
  };
}
