import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProgress } from '../src/dev/progress.ts';
import { commit } from '../test/support/commit.ts';
import { endOnSignal } from '../test/support/ending.ts';
import { keptByNpm } from '../test/support/kept-by-npm.ts';
import { machine } from '../test/support/machine.ts';
import { whyUnwritable } from '../test/support/report-file.ts';
import { table, type TableRow } from '../torture/table.ts';
import { FAULTS } from './faults/index.ts';
import { INVARIANTS } from './invariants/index.ts';
import { openRig } from './open-rig.ts';
import { versions, writeReport } from './report.ts';
import type { Fault } from './rig.ts';
import { programsIn, type TemporalPrograms } from './temporal-on-postgres.ts';
import { torment } from './torment.ts';

/** Onboardings and shares a second that two cores carry beside all that is broken. */
const RATE = 6;

const list = (all: readonly { readonly id: string; readonly text: string }[]) =>
  all.map(({ id, text }) => `  ${id.padEnd(4)} ${text}`).join('\n');

const USAGE = `npm run chaos -- [--seed N] [--minutes M] [--faults F2,F4,…] [--quick] [--rate N] [--json FILE] [--keep]

  Starts Postgres, Temporal, three servers and six workers as processes of their own, has brands share sessions with each
  other through them, and breaks one thing after the other meanwhile. Then all is mended, and what clients were told and
  partners heard is held against what is stored. It ends with 1 when a row failed or it was interrupted, and with 2 when it
  was called wrongly.

  --seed N         repeats the order of faults, victims and pauses; by default a new one, which is printed
  --minutes M      goes round the faults under load, in their short form and in another order each time, once at least and
                   until so much time is over; then those in labs, once. By default each has its turn once
  --faults A,B     these alone
  --quick          short faults, and small labs: about 25 minutes for all in the place of some six hours
  --rate N         stories a second that clients begin, onboardings and shares by token, default ${RATE}
  --json FILE      writes the rows there, with the seed, the machine and the versions
  --keep           leaves data, logs and ledgers behind, and says where; as it does when a row failed
  --temporal-server FOLDER
                   with the real Temporal server on a Postgres of its own, in the place of the dev server; the folder
                   holds its programs server and sql

Faults, in an order that the seed gives:
${list(FAULTS.map(({ id, what }) => ({ id, text: what })))}

Invariants, once all is mended and has come to rest:
${list(INVARIANTS.map(({ id, says }) => ({ id, text: says })))}`;

const OPTIONS = {
  seed: { type: 'string' },
  minutes: { type: 'string' },
  faults: { type: 'string' },
  quick: { type: 'boolean', default: false },
  rate: { type: 'string', default: String(RATE) },
  json: { type: 'string' },
  keep: { type: 'boolean', default: false },
  'temporal-server': { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const values = parsed();

function parsed() {
  const [lost] = keptByNpm('chaos', Object.keys(OPTIONS), process.env);
  if (lost !== undefined) refuse(lost);
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function refuse(problem: string): never {
  console.error(`${problem}\nnpm run chaos -- --help says what there is.`);
  process.exit(2);
}

function numberOf(name: string, text: string, least: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= least ? value : refuse(`--${name} must be a number from ${least} on.`);
}

function chosenFaults(text: string | undefined): readonly Fault[] {
  if (text === undefined) return FAULTS;
  return text
    .split(',')
    .map((id) => FAULTS.find((fault) => fault.id === id.trim()) ?? refuse(`--faults: none is called "${id}".`));
}

function programs(folder: string | undefined): TemporalPrograms | null {
  try {
    return folder === undefined ? null : programsIn(folder);
  } catch (error) {
    return refuse(`--temporal-server needs a folder with the programs server and sql: ${(error as Error).message}`);
  }
}

if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const seed = values.seed === undefined ? randomInt(2 ** 31) : Math.floor(numberOf('seed', values.seed, 0));
const minutes = values.minutes === undefined ? null : numberOf('minutes', values.minutes, 0.1);
const rate = numberOf('rate', values.rate, 0.1);
const faults = chosenFaults(values.faults);
const temporalPrograms = programs(values['temporal-server']);
const json = values.json ?? null;
if (json !== null) whyUnwritable(json).forEach(refuse);

const say = startProgress();
const begun = new Date();
const folder = mkdtempSync(join(tmpdir(), 'handoff-chaos-'));
// What others put down for a while goes with it.
process.env['TMPDIR'] = folder;
let failed = false;
process.once('exit', () => {
  if (values.keep || failed) console.log(`Data, logs and ledgers are in ${folder}`);
  else rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});
say(`Seed ${seed}`);
const opened = openRig({ seed, quick: values.quick, minutes, folder, say, temporalPrograms });
let interrupted = false;
endOnSignal(say, () => {
  interrupted = true;
  return opened.close();
});

const run: string[] = [];
try {
  const rig = await opened.rig;
  const rows = await torment(rig, { faults, rate, onBegin: (fault) => run.push(fault.id) });
  const seconds = (Date.now() - begun.getTime()) / 1_000;
  failed = rows.some((row) => !row.ok);
  // Before all that may still go wrong.
  console.log(`\n${table(rows)}\n\n${summary(rows)}`);
  if (json !== null && !interrupted) {
    writeReport(json, {
      ok: !failed,
      seed,
      minutes,
      quick: values.quick,
      rate,
      commit: commit(),
      begun: begun.toISOString(),
      seconds,
      faults: run,
      load: { calls: rig.ledger.calls.length, webhooks: rig.ledger.heard.length },
      machine: machine(),
      versions: await versions(rig),
      rows,
    });
  }
} finally {
  await opened.close();
}
process.exit(failed || interrupted ? 1 : 0);

function summary(rows: readonly TableRow[]): string {
  const failed = rows.filter((row) => !row.ok).length;
  return `${failed === 0 ? `All ${rows.length} rows ok` : `${failed} of ${rows.length} rows failed`}, seed ${seed}`;
}
