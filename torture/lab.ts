import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { createDatabase, dropDatabase } from '../src/dev/embedded-database.ts';
import type { Progress } from '../src/dev/progress.ts';
import { processSettings } from '../test/support/process-settings.ts';
import type { Servers } from './servers.ts';

export { withLab } from '../test/support/ending.ts';

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

/** What our processes are started with. Loopback is open to webhooks, and there is no Temporal, unless `more` says so. */
export function environment(
  lab: Lab,
  database: LabDatabase,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return processSettings(lab.folder, database.url, more);
}
