import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProgress } from '../src/dev/progress.ts';
import { endOnSignal } from '../test/support/ending.ts';
import type { Findings, Part } from './frame.ts';
import { ownServers, withLab, type LabSize } from './lab.ts';
import { growth } from './parts/growth.ts';
import { dbos, onboarding, recovery } from './parts/onboarding.ts';
import { sharing } from './parts/sharing.ts';
import { webhooks } from './parts/webhooks.ts';
import { exitCode, missed, reportOf, tablesOf } from './report.ts';

/** By the letter of each. */
const PARTS: Readonly<Record<string, Part>> = {
  a: sharing,
  b: onboarding,
  c: dbos,
  d: webhooks,
  e: growth,
  f: recovery,
};

const USAGE = `npm run bench -- [--quick] [--only PART,…] [--rounds N] [--scale F] [--json FILE] [--markdown] [--check]

  Measures this service against the least that its work could cost, all on this machine and in one run, in rounds in
  which the contenders take turns; and a table of the ratios: the median of the rounds, the least and the most of them.
  It needs nothing running and a quiet machine; about half an hour, or five minutes with --quick.

  --quick      smaller amounts, and growth to 100,000 sessions instead of 1,000,000
  --only PART  these parts alone, by letter or name, separated by commas
  --rounds N   rounds of each race; 3 by default
  --scale F    all amounts times F, e.g. 0.01 for a look at the command itself; what it then shows means nothing
  --json FILE  writes the numbers there too
  --markdown   prints the tables as Markdown
  --check      ends with 1 when a ratio is below its least

Parts; those of onboardings are measured together, on the same processes:
${Object.entries(PARTS)
  .map(([letter, { name, shows }]) => `  ${letter}  ${name.padEnd(11)} ${shows}`)
  .join('\n')}`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string' },
    markdown: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const size: LabSize = { quick: values.quick, rounds: Number(values.rounds), scale: Number(values.scale) };
const only = values.only.split(',').filter((name) => name !== '');
const isNamed = (name: string, [letter, part]: [string, Part]) => name === letter || name === part.name;
const parts = Object.entries(PARTS);
const problems = [
  ...only.filter((name) => !parts.some((part) => isNamed(name, part))).map((name) => `No part is called ${name}.`),
  ...(Number.isInteger(size.rounds) && size.rounds > 0 ? [] : ['--rounds takes a whole number, 1 or more.']),
  ...(size.scale > 0 && size.scale <= 1 ? [] : ['--scale takes a number above 0, and 1 at most.']),
];
if (values.help || problems.length > 0) {
  console.log([...problems, USAGE].join('\n'));
  process.exit(problems.length > 0 ? 1 : 0);
}

const chosen = parts.filter((part) => only.length === 0 || only.some((name) => isNamed(name, part)));
const { findings, elapsed, broken, versions } = await findingsOf(chosen);
const report = reportOf(findings, size, versions, elapsed);
console.log(`\n${tablesOf(report, values.markdown ? 'markdown' : 'text')}\n`);
console.log(
  `Seconds: ${Object.entries(elapsed)
    .map(([letters, seconds]) => `${letters} ${seconds}`)
    .join(', ')}`,
);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
for (const { name, error } of broken) console.error(`${name} broke: ${String((error as Error).stack ?? error)}`);
const below = missed(report);
if (below.length > 0) console.log(`Below the least: ${below.join(', ')}`);
process.exit(exitCode(report, { check: values.check, broken: broken.length > 0 }));

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
  const broken: { name: string; error: unknown }[] = [];
  const begun = performance.now();
  const secondsSince = (then: number) => Math.round((performance.now() - then) / 1_000);
  try {
    for (const [run, parts] of Map.groupBy(wanted, ([, part]) => part.run)) {
      const letters = parts.map(([letter]) => letter).join('');
      const name = parts.map(([, part]) => part.name).join(', ');
      const partBegun = performance.now();
      say(`${name}: begins`);
      try {
        const lab = { ...size, servers, say, folder: join(folder, letters) };
        const asked = new Set(parts.map(([, part]) => part.name));
        findings.push(await withLab(lab, (opened) => run(opened, asked)));
        say(`${name}: done`);
      } catch (error) {
        broken.push({ name, error });
        say(`${name}: broke`);
      }
      elapsed[letters] = secondsSince(partBegun);
    }
  } finally {
    await servers.stop();
  }
  return { findings, elapsed: { ...elapsed, all: secondsSince(begun) }, broken, versions: servers.versions };
}
