import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProgress } from '../src/dev/progress.ts';
import { commit } from '../test/support/commit.ts';
import { endOnSignal } from '../test/support/ending.ts';
import type { Findings, Part } from './frame.ts';
import { ownServers, withLab } from './lab.ts';
import { readOptions, USAGE } from './options.ts';
import { exitCode, missed, reportOf, tablesOf, unmeasured } from './report.ts';

const options = readOptions(process.argv.slice(2));
if ('problems' in options) {
  console.error([...options.problems, 'npm run bench -- --help tells of all options.'].join('\n'));
  process.exit(2);
}
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}

const { size, parts, json, markdown, check } = options;
// Of the code that is measured, whatever is changed meanwhile.
const ours = { begun: new Date().toISOString(), commit: commit() };
const { findings, elapsed, broken, versions } = await findingsOf(parts);
const report = reportOf(findings, {
  ...ours,
  size,
  versions,
  elapsed_seconds: elapsed,
  broken: broken.flatMap(({ names }) => names),
});
console.log(`\n${tablesOf(report, markdown ? 'markdown' : 'text')}\n`);
console.log(
  `Seconds: ${Object.entries(elapsed)
    .map(([letters, seconds]) => `${letters} ${seconds}`)
    .join(', ')}`,
);
for (const { names, error } of broken) {
  console.error(`${names.join(', ')} broke: ${String((error as Error).stack ?? error)}`);
}
const short = missed(report);
if (short.length > 0) console.log(`Missed: ${short.join(', ')}`);
const chosen = parts.map(([, { name }]) => name);
const absent = unmeasured(report, chosen);
if (absent.length > 0) console.log(`Not measured: ${absent.join(', ')}`);
if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
process.exit(exitCode(report, { check, parts: chosen }));

/** Runs parts one after the other, those that are measured together at once; one that breaks is told of at the end. */
async function findingsOf(wanted: readonly (readonly [letter: string, part: Part])[]) {
  const say = startProgress();
  const folder = mkdtempSync(join(tmpdir(), 'handoff-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  // What others put down for a while goes with it.
  process.env['TMPDIR'] = folder;
  const servers = ownServers(folder, say);
  // Servers that still run would write into the folder while it is removed.
  endOnSignal(say, () => servers.stop());
  const findings: Findings[] = [];
  const elapsed: Record<string, number> = {};
  const broken: { names: string[]; error: unknown }[] = [];
  const begun = performance.now();
  const secondsSince = (then: number) => Math.round((performance.now() - then) / 1_000);
  try {
    for (const [run, parts] of Map.groupBy(wanted, ([, part]) => part.run)) {
      const letters = parts.map(([letter]) => letter).join('');
      const names = parts.map(([, part]) => part.name);
      const name = names.join(', ');
      const partBegun = performance.now();
      say(`${name}: begins`);
      try {
        const lab = { ...size, servers, say, folder: join(folder, letters) };
        const asked = new Set(names);
        findings.push(await withLab(lab, (opened) => run(opened, asked)));
        say(`${name}: done`);
      } catch (error) {
        broken.push({ names, error });
        say(`${name}: broke`);
      }
      elapsed[letters] = secondsSince(partBegun);
    }
  } finally {
    await servers.stop();
  }
  return { findings, elapsed: { ...elapsed, all: secondsSince(begun) }, broken, versions: servers.versions };
}
