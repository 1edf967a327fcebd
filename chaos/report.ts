import { readFileSync, writeFileSync } from 'node:fs';
import { Connection } from '@temporalio/client';
import type { Machine } from '../test/support/machine.ts';
import type { TableRow } from '../torture/table.ts';
import { withDatabase } from './oracle-reading.ts';
import type { Rig } from './rig.ts';

/** What `--json` writes: what was found, and all that somebody needs to run it again and compare. */
export interface Report {
  /** Whether no row failed. */
  readonly ok: boolean;
  readonly seed: number;
  /** How long it went round at least; null when each fault had its turn once. */
  readonly minutes: number | null;
  readonly quick: boolean;
  /** Stories a second that were asked for. */
  readonly rate: number;
  /** Of the checkout, see `commit`. */
  readonly commit: string | null;
  /** ISO 8601. */
  readonly begun: string;
  readonly seconds: number;
  /** In the order in which they ran; several times when the run went round. */
  readonly faults: readonly string[];
  readonly load: { readonly calls: number; readonly webhooks: number };
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly TableRow[];
}

/** Versions of what took part; `unknown` of a server that does not tell. */
export async function versions(rig: Pick<Rig, 'postgres' | 'temporal'>): Promise<Report['versions']> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const [postgres, temporal] = await Promise.all(
    [postgresVersion(rig), temporalVersion(rig)].map((told) => told.catch(() => undefined)),
  );
  return { handoff: version, node: process.version, postgres: postgres ?? 'unknown', temporal: temporal ?? 'unknown' };
}

function postgresVersion(rig: Pick<Rig, 'postgres'>): Promise<string | undefined> {
  return withDatabase(rig, async (database) => {
    const { rows } = await database.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version;
  });
}

async function temporalVersion({ temporal }: Pick<Rig, 'temporal'>): Promise<string | null | undefined> {
  const connection = await Connection.connect({ address: temporal.address });
  try {
    return (await connection.workflowService.getSystemInfo({})).serverVersion;
  } finally {
    await connection.close();
  }
}

/** Writes the report. */
export function writeReport(file: string, report: Report): void {
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}
