import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDevTemporal } from '../src/dev/dev-temporal.ts';
import { createDatabase, startEmbeddedPostgres } from '../src/dev/embedded-database.ts';
import type { Progress } from '../src/dev/progress.ts';
import { findTemporalBinary } from '../src/dev/temporal-binaries.ts';
import { migrate } from '../src/postgres/migrate.ts';
import { loadWorkflowBundle } from '../src/worker.ts';
import { openSharedEnding } from '../test/support/ending.ts';
import { installTestClock } from '../test/support/test-clock.ts';

/** What all parts share, each started for the first that asks. */
export interface Servers {
  /** The superuser's URL, and a migrated database with the shiftable clock, to be copied. */
  postgres(): Promise<{ readonly adminUrl: string; readonly template: string }>;
  /** `host:port` of a dev server. */
  temporalAddress(): Promise<string>;
  /** Path of the time-skipping server. */
  timeSkippingServer(): Promise<string>;
  /** File with the bundled workflow code. */
  bundlePath(): Promise<string>;
}

/**
 * Servers of the command's own, with their data in `folder`.
 *
 * @param durable whether Postgres waits for its disk, as in production
 */
export function ownServers(folder: string, say: Progress, durable = false): Servers & { stop(): Promise<void> } {
  const { once, onEnd, end: stop } = openSharedEnding(say);
  // Postgres runs under another account when this runs as root.
  chmodSync(folder, 0o711);

  const postgres = once(async () => {
    say('Starting Postgres');
    const server = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), durable });
    onEnd(() => server.stop());
    const adminUrl = server.url('postgres');
    const template = `handoff_template_${randomBytes(6).toString('hex')}`;
    await createDatabase(adminUrl, template);
    await migrate(server.url(template));
    await installTestClock(server.url(template));
    return { adminUrl, template };
  });
  const temporalAddress = once(async () => {
    say('Starting a Temporal dev server');
    const binary = await findTemporalBinary('cli', { report: say });
    const server = await startDevTemporal({ binary, headless: true, logFile: join(folder, 'temporal.log') });
    onEnd(() => server.stop());
    return server.address;
  });
  const bundlePath = once(async () => {
    const bundle = await loadWorkflowBundle(false);
    if ('codePath' in bundle) return bundle.codePath;
    const path = join(folder, 'workflow-bundle.js');
    writeFileSync(path, bundle.code);
    return path;
  });

  return {
    postgres,
    temporalAddress,
    timeSkippingServer: () => findTemporalBinary('test-server', { report: say }),
    bundlePath,
    stop,
  };
}
