import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How to start a server as a child of this process. */
export interface ChildOptions {
  /** What people call it, for error messages. */
  name: string;
  command: string;
  args: readonly string[];
  /** Receives the child's stdout and stderr; made with mode 600, appended to. */
  logFile: string;
  /** Asked again and again until it answers true; throwing means "not yet". */
  ready: () => Promise<boolean>;
  readyWithinMs?: number;
  env?: NodeJS.ProcessEnv;
  /** The account to run under, when this process is root and the child must not be. */
  account?: { uid: number; gid: number } | undefined;
  stopSignal?: NodeJS.Signals;
  /** How long the child may take to end after `stopSignal`, before SIGKILL. */
  graceMs?: number;
}

/** A started and ready child. */
export interface RunningChild {
  pid: number;
  /** Resolves once the process has ended, with how ("code 0", "signal SIGKILL"). Never rejects. */
  ended: Promise<string>;
  /** Ends the process and waits until it is gone. Calling it again changes nothing. */
  stop(): Promise<void>;
}

/**
 * Starts a child and waits until it is ready. The child gets its own process group, so that Ctrl-C reaches only this
 * process, which stops its servers in order. However this process ends, SIGKILL included, the child ends too.
 *
 * @throws Error with the last lines of the child's log, when it ends early or is not ready in time.
 */
export async function startChild(options: ChildOptions): Promise<RunningChild> {
  const { logFile, stopSignal = 'SIGTERM', graceMs = 10_000, readyWithinMs = 60_000 } = options;
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a', 0o600);
  const logStart = statSync(logFile).size;
  const child = spawn(options.command, [...options.args], {
    detached: true,
    stdio: ['ignore', log, log],
    env: options.env ?? process.env,
    ...options.account,
  });
  closeSync(log);

  let end: string | undefined;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === null ? `signal ${signal}` : `code ${code}`));
  }).then((how) => (end = how));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.name} did not start: ${await ended}`);
  const guardGone = guardAgainstOrphan(child, pid, stopSignal, graceMs);

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= end === undefined ? endChild() : guardGone);
  async function endChild(): Promise<void> {
    child.kill(stopSignal);
    const patience = new AbortController();
    const late = sleep(graceMs, true, { signal: patience.signal }).catch(() => false);
    if ((await Promise.race([late, ended])) === true) child.kill('SIGKILL');
    patience.abort();
    await ended;
    await guardGone;
  }

  const deadline = Date.now() + readyWithinMs;
  const mayBecomeReady = (): boolean => end === undefined && Date.now() < deadline;
  while (mayBecomeReady()) {
    if (await options.ready().catch(() => false)) return { pid, ended, stop };
    await Promise.race([ended, sleep(50)]);
  }
  const reason = end === undefined ? `not ready after ${readyWithinMs / 1000} s` : `it ended with ${end}`;
  await stop();
  throw new Error(`${options.name} did not start: ${reason}. ${lastLines(logFile, logStart)}`);
}

// A shell that waits for the end of its stdin: the system closes that pipe when this process dies, whatever the cause.
const GUARD = `trap '' HUP INT TERM
read -r told && exit 0
kill -s "$2" "$1" 2>/dev/null
left=$3
while [ "$left" -gt 0 ] && kill -0 "$1" 2>/dev/null; do sleep 1; left=$((left - 1)); done
kill -s KILL "$1" 2>/dev/null`;

/** Resolves when child and guard are both gone. Windows has no such shell: there, only an orderly end stops the child. */
function guardAgainstOrphan(child: ChildProcess, pid: number, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  if (process.platform === 'win32') return new Promise((resolve) => child.once('exit', () => resolve()));
  const args = [String(pid), signal.replace('SIG', ''), String(Math.ceil(graceMs / 1000))];
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', ...args], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.stdin.on('error', () => undefined);
  child.once('exit', () => guard.stdin.end('ended\n'));
  return new Promise((resolve) => {
    guard.once('error', () => resolve());
    guard.once('exit', () => resolve());
  });
}

function lastLines(logFile: string, from: number): string {
  const lines = readFileSync(logFile).subarray(from).toString('utf8').trim().split('\n').slice(-10);
  return lines.join('') === '' ? 'It logged nothing.' : `The end of its log (${logFile}):\n${lines.join('\n')}`;
}
