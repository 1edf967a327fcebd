import { join } from 'node:path';
import { startDevTemporal } from '../src/dev/dev-temporal.ts';
import { freePort } from '../src/dev/free-port.ts';
import type { Progress } from '../src/dev/progress.ts';
import { findTemporalBinary } from '../src/dev/temporal-binaries.ts';
import { startKillable } from './killable.ts';
import type { TemporalServer } from './rig.ts';

/** Starts a Temporal dev server whose state is in a file below `folder`. */
export async function startTemporalServer(
  folder: string,
  report: Progress,
): Promise<TemporalServer & { stop(): Promise<void> }> {
  const [binary, port] = [await findTemporalBinary('cli', { report }), await freePort()];
  const start = () =>
    startDevTemporal({
      binary,
      port,
      headless: true,
      dataFile: join(folder, 'temporal.db'),
      logFile: join(folder, 'logs', 'temporal.log'),
    });
  const { first, killable } = await startKillable(start);
  return { address: first.address, databases: [], ...killable };
}
