import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const key = () => randomBytes(32).toString('base64url');
const ring = () => `own-1:${key()}`;

/** Keys by which all processes that this one starts understand each other. */
const KEYS = {
  SHARE_TOKEN_KEYS: ring(),
  KEY_ENCRYPTION_KEYS: ring(),
  CONTENT_ENCRYPTION_KEYS: ring(),
  AUDIT_SIGNING_KEY: key(),
  ACCESS_TOKEN_KEY: key(),
  BLIND_INDEX_KEY: key(),
  MEDIA_LINK_KEY: key(),
};

/**
 * What servers and workers are started with by a rig: this process's environment without what it says of
 * Temporal, and keys that are new for each run. Webhooks may go to loopback, and no rate limit is in the way.
 *
 * @param folder where files and anchors are kept
 * @param more settings beside these; without `TEMPORAL_ADDRESS` in them nothing answers as Temporal
 */
export function processSettings(
  folder: string,
  databaseUrl: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('TEMPORAL_'),
  );
  return {
    ...Object.fromEntries(inherited),
    ...KEYS,
    DATABASE_URL: databaseUrl,
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8,::1/128',
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    PUBLIC_URL: 'http://localhost:8080',
    MEDIA_STORE: pathToFileURL(join(folder, 'media')).href,
    AUDIT_ANCHORS: pathToFileURL(join(folder, 'anchors')).href,
    RATE_LIMIT_READS: '10000000',
    RATE_LIMIT_WRITES: '10000000',
    ...more,
  };
}
