import { join } from 'node:path';
import { startDevTemporal, type DevTemporal } from '../src/dev/dev-temporal.ts';
import { freePort } from '../src/dev/free-port.ts';
import type { Progress } from '../src/dev/progress.ts';
import { findTemporalBinary } from '../src/dev/temporal-binaries.ts';
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
  let server: DevTemporal | null = await start();
  return {
    address: server.address,
    databases: [],
    kill: async () => {
      if (server === null) return;
      process.kill(server.pid, 'SIGKILL');
      await server.ended;
      await server.stop();
      server = null;
    },
    start: async () => {
      server ??= await start();
    },
    stop: async () => {
      await server?.stop();
      server = null;
    },
  };
}
