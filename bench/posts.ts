/** What the process that posts is asked for: the same request, so often, to each target in turn. */
export interface PostWork {
  readonly by: 'undici' | 'attempts';
  /** URLs of one origin. */
  readonly targets: readonly string[];
  /** Requests under way at once for each target, each over a connection of its own. */
  readonly perTarget: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly count: number;
}

/** What it answers. */
export interface PostOutcome {
  readonly seconds: number;
  /** What the process that posts took of the processors, in milliseconds, with the system's part. */
  readonly cpuMs: number;
}
