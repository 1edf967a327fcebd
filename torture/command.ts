import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProgress } from '../src/dev/progress.ts';
import { endOnSignal } from '../test/support/ending.ts';
import { withLab } from './lab.ts';
import type { Part } from './part.ts';
import { ownServers } from './servers.ts';
import { table, type TableRow } from './table.ts';

/** What a command tortures, and what it says of itself with `--help`. */
export interface Torture {
  /** As npm knows it, e.g. `webhooks:torture`. */
  readonly command: string;
  /** What it does, what it needs, and how long it takes. */
  readonly about: string;
  /** How much shorter `--quick` is. */
  readonly quick: string;
  /** In the order in which they run. */
  readonly parts: readonly Part[];
}

/** Runs the parts that the command line asks for, prints their table, and ends the process: with 1 when a row failed. */
export async function runTorture({ command, about, quick, parts }: Torture): Promise<never> {
  const usage = `npm run ${command} -- [--quick] [--only NAME]… [--json FILE]

  ${about}
  It ends with 1 when a row failed.

  --quick      ${quick}
  --only NAME  this part alone; may be given several times
  --json FILE  writes the rows there too

Parts, in this order:
${parts.map(({ name, shows }) => `  ${name.padEnd(12)} ${shows}`).join('\n')}`;
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = values.only.filter((name) => parts.every((part) => part.name !== name));
  if (values.help || unknown.length > 0) {
    console.log(unknown.length > 0 ? `No part is called ${unknown.join(', ')}.\n${usage}` : usage);
    process.exit(unknown.length > 0 ? 1 : 0);
  }
  const chosen = parts.filter(({ name }) => values.only.length === 0 || values.only.includes(name));
  const rows = await rowsOf(chosen, values.quick);
  console.log(`\n${table(rows)}\n`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  const failed = rows.filter(({ ok }) => !ok).length;
  console.log(failed === 0 ? `All ${rows.length} rows ok` : `${failed} of ${rows.length} rows failed`);
  process.exit(failed === 0 ? 0 : 1);
}

/** Runs parts one after the other; one that breaks is a row that failed. */
async function rowsOf(parts: readonly Part[], quick: boolean): Promise<TableRow[]> {
  const say = startProgress();
  const folder = mkdtempSync(join(tmpdir(), 'handoff-torture-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  // What others put down for a while goes with it.
  process.env['TMPDIR'] = folder;
  const servers = ownServers(folder, say);
  // Servers that still run would write into the folder while it is removed.
  endOnSignal(say, () => servers.stop());
  const rows: TableRow[] = [];
  try {
    for (const part of parts) {
      say(`${part.name}: begins`);
      const outcome = await withLab({ quick, measured: true, servers, say, folder: join(folder, part.name) }, (lab) =>
        part.run(lab),
      ).catch((error: unknown) => [
        { what: 'runs to its end', expected: 'yes', seen: String((error as Error).stack ?? error), ok: false },
      ]);
      rows.push(...outcome.map((row) => ({ part: part.name, ...row })));
      const failed = outcome.filter(({ ok }) => !ok).length;
      say(`${part.name}: ${outcome.length} rows, ${failed} failed`);
    }
  } finally {
    await servers.stop();
  }
  return rows;
}
