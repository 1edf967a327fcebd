import type { Row } from '../torture/part.ts';
import type { FaultProxy } from './fault-proxy.ts';
import type { Fleet } from './fleet.ts';
import type { Ledger } from './ledger.ts';
import type { PartnerSimulator } from './partner-simulator.ts';
import type { Random } from './random.ts';
import type { Brand } from './brands.ts';

/** Everything that runs while something is broken. Whatever is started is undone at the end, the last first. */
export interface Rig {
  /** Replays the order of faults, victims and pauses. */
  readonly seed: number;
  /** For the order of faults and the pauses between them. Each turn of a fault is given a stream of its own. */
  readonly random: Random;
  /** Smaller numbers, for the tier that every change must pass. */
  readonly quick: boolean;
  /** How long the whole run shall last at least; null when each fault has its turn once. */
  readonly minutes: number | null;
  /** Where data, logs and ledgers of this run are kept. */
  readonly folder: string;
  readonly say: (line: string) => void;
  onEnd(undo: () => Promise<unknown>): void;
  /** What each of our processes is started with, keys included. */
  readonly env: Readonly<Record<string, string>>;
  readonly postgres: PostgresServer;
  readonly temporal: TemporalServer;
  /** What our processes dial in the place of Postgres and of Temporal. */
  readonly proxies: { readonly postgres: FaultProxy; readonly temporal: FaultProxy };
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  /** The backends of all brands: hears what they are sent, and acts on it. */
  readonly partner: PartnerSimulator;
  readonly brands: readonly Brand[];
}

/** The database that our processes reach by the proxy alone. */
export interface PostgresServer {
  /** Direct, for the oracle: of the superuser, on the run's database. */
  readonly url: string;
  /** SIGKILL of the postmaster and all its children. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port; resolves when it answers. */
  start(): Promise<void>;
}

/** A Temporal whose state is in a file (or in Postgres), so that it survives its process. */
export interface TemporalServer {
  /** `host:port`, direct, for the oracle. */
  readonly address: string;
  /** Direct, of the superuser: where its state is kept, if that is in Postgres. */
  readonly databases: readonly string[];
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Something that is broken and mended while the load goes on. */
export interface Fault {
  /** As reliability.md numbers it, e.g. `F4`. */
  readonly id: string;
  /** For `--help`. */
  readonly what: string;
  /** Works in a lab of its own, with servers of its own: run after the invariants, when the load has stopped. */
  readonly alone?: true;
  /** Breaks, waits and mends; what it says of itself beside the invariants, as rows of the table. */
  run(rig: Rig): Promise<readonly Row[]>;
}
