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
  /** Whether it runs. */
  isRunning(): boolean;
  /** SIGKILL. Does nothing when it does not run. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
  /** Starts it again, with these settings beside its own; resolves when it answers or polls. */
  start(more?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the process that runs now has ended, by itself or not. */
  ended(): Promise<void>;
}

/** Two servers and two workers for each queue, as processes of their own. */
export interface Fleet {
  readonly members: readonly Member[];
  of(kind: ProcessKind): readonly Member[];
  /** Starts whatever does not run. */
  heal(): Promise<void>;
}
