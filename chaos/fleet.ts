import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startChild, type RunningChild } from '../src/dev/child-process.ts';
import { freePort } from '../src/dev/free-port.ts';

/** What one of our processes does. */
export type ProcessKind = 'server' | 'onboarding' | 'webhooks';

/** One of our processes, by a name that outlives its restarts. */
export interface Member {
  /** e.g. `server-1` */
  readonly name: string;
  readonly kind: ProcessKind;
  /** Of the process that runs now; null while none does. */
  readonly pid: number | null;
  /** Base URL of a server; null for workers. The same over restarts. */
  readonly url: string | null;
  /** Holds what all its processes wrote, the restarts one after the other. */
  readonly logFile: string;
  /** How each of its processes ended that nobody asked to end: `code 1`. */
  readonly endedByItself: readonly string[];
  /** Whether it runs. */
  isRunning(): boolean;
  /** SIGKILL. Does nothing when it does not run. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for its end: resolves to how it ended (`code 0`), or to null when it did not run. */
  stop(): Promise<string | null>;
  /**
   * Starts it again, with these settings beside its own; resolves when it answers or polls, or when it killed itself
   * before that, as a process that was armed to do so may. Asked again while it starts, it answers with that start.
   *
   * @throws {Error} when it runs
   */
  start(more?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the process that runs now has ended, by itself or not. */
  ended(): Promise<void>;
}

/** Our processes, at least two of each kind. */
export interface Fleet {
  readonly members: readonly Member[];
  of(kind: ProcessKind): readonly Member[];
  /** Starts whatever does not run. */
  heal(): Promise<void>;
  /** Ends all of them in an orderly way: the workers that seal the audit trail last. */
  stop(): Promise<void>;
}

/** Ports that the members of each kind keep for their lives. */
export type FleetPorts = Readonly<Record<ProcessKind, readonly number[]>>;

/** Two of each can be killed in turn, each at points of its own, while one goes on. */
const COUNTS = { server: 3, onboarding: 3, webhooks: 3 } as const;
/** Longer than a worker's own patience with activities under way. */
const GRACE_MS = 50_000;
/** All may start at once, on a busy machine. */
const READY_MS = 120_000;

/** Free ports for all of them: a worker says there that it polls. */
export async function fleetPorts(): Promise<FleetPorts> {
  const ports = (kind: ProcessKind) => Promise.all(Array.from({ length: COUNTS[kind] }, () => freePort()));
  return { server: await ports('server'), onboarding: await ports('onboarding'), webhooks: await ports('webhooks') };
}

/** What a fleet's processes are started with. */
export interface FleetOptions {
  /** Their logs are kept here. */
  readonly logs: string;
  /** Folder of `server.js` and `worker.js`. */
  readonly code: string;
  readonly ports: FleetPorts;
  readonly env: Readonly<Record<string, string>>;
}

/** The fleet, of which nothing runs yet. */
export function createFleet({ logs, code, ports, env }: FleetOptions): Fleet {
  const args = {
    server: [join(code, 'server.js')],
    onboarding: [join(code, 'worker.js'), 'onboarding'],
    webhooks: [join(code, 'worker.js'), 'webhooks'],
  } as const;
  const members = (['server', 'onboarding', 'webhooks'] as const).flatMap((kind) =>
    ports[kind].map((port, index) =>
      createMember({ name: `${kind}-${index + 1}`, kind, port, args: args[kind], logs, env }),
    ),
  );
  const of = (kind: ProcessKind) => members.filter((member) => member.kind === kind);
  return {
    members,
    of,
    heal: async () => {
      await Promise.all(members.filter((member) => !member.isRunning()).map((member) => member.start()));
    },
    stop: async () => {
      for (const kind of ['server', 'webhooks', 'onboarding'] as const) {
        await Promise.all(of(kind).map((member) => member.stop()));
      }
    },
  };
}

/** Base URLs of all servers, whether they run or not. */
export function serverUrls({ of }: Pick<Fleet, 'of'>): string[] {
  return of('server').flatMap(({ url }) => url ?? []);
}

/** Waits until a process has ended by itself, so long at most. @returns whether it has */
export async function endsWithin(member: Pick<Member, 'ended' | 'isRunning'>, ms: number): Promise<boolean> {
  const limit = new AbortController();
  await Promise.race([member.ended(), pause(ms, undefined, { signal: limit.signal }).catch(() => undefined)]);
  limit.abort();
  return !member.isRunning();
}

interface MemberOptions {
  readonly name: string;
  readonly kind: ProcessKind;
  readonly port: number;
  /** Of Node.js. */
  readonly args: readonly string[];
  readonly logs: string;
  readonly env: Readonly<Record<string, string>>;
}

function createMember({ name, kind, port, args, logs, env }: MemberOptions): Member {
  const origin = `http://127.0.0.1:${port}`;
  const logFile = join(logs, `${name}.log`);
  const own = kind === 'server' ? { HOST: '127.0.0.1', PORT: String(port) } : { HEALTH_PORT: String(port) };
  let child: RunningChild | null = null;
  let starting: Promise<void> | null = null;
  const endedByItself: string[] = [];
  const asked = new Set<RunningChild>();

  async function begin(more: Readonly<Record<string, string>>): Promise<void> {
    try {
      const begun = await startChild({
        name,
        command: process.execPath,
        args,
        logFile,
        env: { ...env, ...own, ...more },
        ready: async () => (await fetch(`${origin}/healthz`)).ok,
        readyWithinMs: READY_MS,
        graceMs: GRACE_MS,
      });
      child = begun;
      void begun.ended.then((how) => {
        if (child === begun) child = null;
        const mayKillItself = Object.keys(more).length > 0;
        if (!asked.has(begun) && !(mayKillItself && how.includes('SIGKILL'))) endedByItself.push(how);
      });
    } catch (error) {
      const killedItself = Object.keys(more).length > 0 && String(error).includes('ended with signal SIGKILL');
      if (!killedItself) throw error;
    }
  }

  return {
    name,
    kind,
    url: kind === 'server' ? origin : null,
    logFile,
    endedByItself,
    get pid() {
      return child?.pid ?? null;
    },
    isRunning: () => child !== null,
    kill: async () => {
      const victim = child;
      if (victim === null) return;
      asked.add(victim);
      process.kill(victim.pid, 'SIGKILL');
      await victim.ended;
      await victim.stop();
    },
    stop: async () => {
      const ending = child;
      if (ending === null) return null;
      asked.add(ending);
      await ending.stop();
      return ending.ended;
    },
    start: (more = {}) => {
      if (child !== null) throw new Error(`${name} runs already`);
      starting ??= begin(more).finally(() => (starting = null));
      return starting;
    },
    ended: async () => {
      await child?.ended;
    },
  };
}
