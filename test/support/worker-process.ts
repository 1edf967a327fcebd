import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, type RunningChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { readableIn } from './fixture-canaries.ts';
import type { WorkerRole } from './stack.ts';

const SOURCES = fileURLToPath(new URL('../../src/', import.meta.url));

/** A process of ours that runs beside the tests. */
export interface OwnProcess extends RunningChild {
  /** What it has logged so far, every stream. */
  readonly log: () => string;
  /** Ends it by SIGKILL, unless it has ended, and takes its log file away. */
  readonly kill: () => Promise<void>;
}

/**
 * Starts the real entry point of a worker, without waiting for its first poll. Stop it in `afterAll`.
 *
 * @param env the whole environment, as a stack gives it; `FAIL_AT` in it arms a crash point
 */
export function startWorkerProcess(role: WorkerRole, env: NodeJS.ProcessEnv): Promise<OwnProcess> {
  return startOwnProcess(['worker.ts', role], env, () => Promise.resolve(true));
}

/** Starts the real entry point of the server and waits until it answers. Stop it in `afterAll`. */
export async function startServerProcess(env: NodeJS.ProcessEnv): Promise<OwnProcess & { readonly url: string }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const answers = async () => (await fetch(new URL('/healthz', url))).ok;
  return { ...(await startOwnProcess(['server.ts'], { ...env, PORT: String(port) }, answers)), url };
}

/** Starts an entry point of `src`, or a file by its whole path, and waits until it is ready. Stop it in `afterAll`. */
export async function startOwnProcess(
  [entry, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  ready: () => Promise<boolean>,
): Promise<OwnProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'handoff-process-'));
  const logFile = join(folder, 'process.log');
  const child = await startChild({
    name: `The process ${entry} under test`,
    command: process.execPath,
    args: [resolve(SOURCES, entry), ...args],
    logFile,
    env,
    ready,
    // A worker's own patience with activities under way is 25 s.
    graceMs: 30_000,
  });
  let kept: string | undefined;
  let alive = true;
  void child.ended.then(() => (alive = false));
  const stop = async () => {
    await child.stop();
    kept ??= readFileSync(logFile, 'utf8');
    rmSync(folder, { recursive: true, force: true });
    const readable = readableIn(kept);
    if (readable.length > 0) throw new Error(`personal data in the log of ${entry}: ${readable.join(', ')}`);
  };
  return {
    ...child,
    log: () => kept ?? readFileSync(logFile, 'utf8'),
    stop,
    kill: async () => {
      if (alive) process.kill(child.pid, 'SIGKILL');
      await child.ended;
      await stop();
    },
  };
}
