import { setTimeout as sleep } from 'node:timers/promises';

/** What the server stands on: `ok`, or a sentence that says what is wrong and holds no secret. */
export type Readiness = Readonly<Record<'database' | 'migrations' | 'temporal' | 'search_attributes', string>>;

/** How each thing is asked: resolves when it is well, to the sentence when it is not; rejecting means "no answer". */
export interface ReadinessProbes {
  readonly database: () => Promise<unknown>;
  /** Names of migrations that the database lacks. */
  readonly pendingMigrations: () => Promise<readonly string[]>;
  readonly temporal: () => Promise<unknown>;
  /** Names of search attributes that Temporal lacks. */
  readonly missingSearchAttributes: () => Promise<readonly string[]>;
}

/** How long one probe may take. */
const PROBE_MS = 2_000;

/** Asks everything at once. Never rejects. */
export async function askReadiness(probes: ReadinessProbes): Promise<Readiness> {
  const [database, migrations, temporal, searchAttributes] = await Promise.all([
    probe(probes.database, () => 'ok', 'does not answer: check DATABASE_URL and the Postgres behind it'),
    probe(
      probes.pendingMigrations,
      (names) => (names.length === 0 ? 'ok' : `missing ${names.join(', ')}: run the migration`),
      'unknown while the database does not answer',
    ),
    probe(probes.temporal, () => 'ok', 'does not answer: check TEMPORAL_ADDRESS and the server behind it'),
    probe(
      probes.missingSearchAttributes,
      (names) => (names.length === 0 ? 'ok' : `missing ${names.join(', ')}: create them in the namespace`),
      'unknown while Temporal does not answer',
    ),
  ]);
  return { database, migrations, temporal, search_attributes: searchAttributes };
}

async function probe<T>(ask: () => Promise<T>, judge: (answer: T) => string, silent: string): Promise<string> {
  const tooLong = new AbortController();
  const late = sleep(PROBE_MS, undefined, { signal: tooLong.signal }).then(
    () => silent,
    () => silent,
  );
  try {
    return await Promise.race([ask().then(judge), late]);
  } catch {
    return silent;
  } finally {
    tooLong.abort();
  }
}

/** A probe of which one is under way at a time: whoever asks meanwhile gets its answer. */
export interface SharedProbe<T> {
  readonly ask: () => Promise<T>;
  /** Resolves when none is under way, so that what it asks may be closed. */
  readonly idle: () => Promise<void>;
}

/** Makes a probe that may outlast the patience of whoever asked: a dead server is not asked many times over. */
export function sharedProbe<T>(ask: () => Promise<T>): SharedProbe<T> {
  let underWay: Promise<T> | undefined;
  return {
    ask: () =>
      (underWay ??= ask().finally(() => {
        underWay = undefined;
      })),
    idle: async () => {
      await underWay?.catch(() => undefined);
    },
  };
}
