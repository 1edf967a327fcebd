import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Pool } from 'pg';
import { createDatabase, dropDatabase } from '../src/dev/embedded-database.ts';
import type { Progress } from '../src/dev/progress.ts';
import type { Servers } from './servers.ts';

/** What a part works in. Whatever it starts is undone when the part has ended, the last first. */
export interface Lab {
  /** Smaller numbers, and shorter time limits where the sender runs in this process. */
  readonly quick: boolean;
  /** Whether it counts how long things take and how much memory they need; not where other work goes on beside it. */
  readonly measured: boolean;
  readonly servers: Servers;
  /** The part's own folder. */
  readonly folder: string;
  readonly say: Progress;
  onEnd(undo: () => Promise<unknown>): void;
}

/** A migrated database with a clock that `shiftClock` moves. */
export interface LabDatabase {
  readonly url: string;
  readonly pool: Pool;
}

/** Gives `work` a lab and takes it away again, however the work ended. */
export async function withLab<T>(
  { folder, say, ...rest }: Omit<Lab, 'onEnd'>,
  work: (lab: Lab) => Promise<T>,
): Promise<T> {
  const undos: (() => Promise<unknown>)[] = [];
  mkdirSync(folder, { recursive: true });
  try {
    return await work({ ...rest, folder, say, onEnd: (undo) => void undos.push(undo) });
  } finally {
    for (const undo of undos.toReversed()) {
      await undo().catch((error: unknown) => say(`Clearing up: ${String(error)}`));
    }
  }
}

/** A database of the part's own. */
export async function openDatabase(lab: Lab): Promise<LabDatabase> {
  const { adminUrl, template } = await lab.servers.postgres();
  const name = `handoff_torture_${randomBytes(6).toString('hex')}`;
  await createDatabase(adminUrl, name, template);
  lab.onEnd(() => dropDatabase(adminUrl, name));
  const url = new URL(adminUrl);
  url.pathname = name;
  const pool = new Pool({ connectionString: url.href, max: 10 });
  pool.on('error', () => undefined);
  lab.onEnd(() => pool.end());
  return { url: url.href, pool };
}

/** 32 random bytes, as our settings have them. */
const key = () => randomBytes(32).toString('base64url');

/** Keys by which the processes of a part understand each other. */
const KEYS = {
  SHARE_TOKEN_KEYS: `torture-1:${key()}`,
  KEY_ENCRYPTION_KEYS: `torture-1:${key()}`,
  CONTENT_ENCRYPTION_KEYS: `torture-1:${key()}`,
  ACCESS_TOKEN_KEY: key(),
  BLIND_INDEX_KEY: key(),
  MEDIA_LINK_KEY: key(),
  AUDIT_SIGNING_KEY: key(),
};

/** What our processes are started with. Loopback is open to webhooks, and there is no Temporal, unless `more` says so. */
export function environment(
  lab: Lab,
  database: LabDatabase,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('TEMPORAL_'),
  );
  return {
    ...Object.fromEntries(inherited),
    ...KEYS,
    DATABASE_URL: database.url,
    WEBHOOK_ALLOWED_CIDRS: '127.0.0.0/8,::1/128',
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    PUBLIC_URL: 'http://localhost:8080',
    MEDIA_STORE: pathToFileURL(join(lab.folder, 'media')).href,
    AUDIT_ANCHORS: pathToFileURL(join(lab.folder, 'anchors')).href,
    RATE_LIMIT_READS: '10000000',
    RATE_LIMIT_WRITES: '10000000',
    ...more,
  };
}
