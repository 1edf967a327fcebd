import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, type RunningChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { testContentEnv } from './app-parts.ts';

const ENTRY = fileURLToPath(new URL('../../src/server.ts', import.meta.url));

/** A server that runs as a process of its own. */
export interface ServerProcess extends RunningChild {
  /** `http://127.0.0.1:port` */
  readonly url: string;
}

/** How to start a server process. */
export interface ServerProcessOptions {
  readonly databaseUrl: string;
  /** Value of `SHARE_TOKEN_KEYS`. */
  readonly shareTokenKeys: string;
  /** `host:port` of Temporal; by default a port that nothing listens on, so that Temporal is down. */
  readonly temporalAddress?: string;
  /** More settings; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Starts the HTTP server's real entry point on a free port, and waits until `/healthz` answers. Stop it in `afterAll`. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), 'handoff-server-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  try {
    const child = await startChild({
      name: 'The server under test',
      command: process.execPath,
      args: [ENTRY],
      logFile: join(folder, 'server.log'),
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: String(port),
        DATABASE_URL: options.databaseUrl,
        ...testContentEnv(),
        SHARE_TOKEN_KEYS: options.shareTokenKeys,
        TEMPORAL_ADDRESS: options.temporalAddress ?? `127.0.0.1:${await freePort()}`,
        LOG_LEVEL: 'warn',
        ...options.env,
      },
      ready: async () => (await fetch(new URL('/healthz', url))).ok,
    });
    return {
      ...child,
      url,
      stop: async () => {
        await child.stop();
        removeFolder();
      },
    };
  } catch (error) {
    removeFolder();
    throw error;
  }
}
