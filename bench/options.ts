import { parseArgs } from 'node:util';
import { keptByNpm } from '../test/support/kept-by-npm.ts';
import { whyUnwritable } from '../test/support/report-file.ts';
import type { Part } from './frame.ts';
import type { LabSize } from './lab.ts';
import { growth } from './parts/growth.ts';
import { dbos, onboarding, recovery } from './parts/onboarding.ts';
import { sharing } from './parts/sharing.ts';
import { webhooks } from './parts/webhooks.ts';

/** By the letter of each. */
const PARTS: Readonly<Record<string, Part>> = {
  a: sharing,
  b: onboarding,
  c: dbos,
  d: webhooks,
  e: growth,
  f: recovery,
};

export const USAGE = `npm run bench -- [--quick] [--only PART,…] [--rounds N] [--scale F] [--json FILE] [--markdown] [--check]

  Measures this service against the least that its work could cost, all on this machine and in one run, in rounds in
  which the contenders take turns; and prints a table of the ratios: median, minimum and maximum of the rounds.
  It needs nothing running and a quiet machine; about 35 minutes, or five with --quick.

  --quick      smaller amounts, and growth to 100,000 sessions instead of 1,000,000
  --only PART  these parts alone, by letter or name, separated by commas
  --rounds N   rounds of each race; 3 by default
  --scale F    all amounts times F, e.g. 0.01 for a look at the command itself; what it then shows means nothing
  --json FILE  writes the numbers there too
  --markdown   prints the tables as Markdown
  --check      ends with 1 when the median of a ratio misses what it must reach, or is not there

Parts; those of onboardings are measured together, on the same processes:
${Object.entries(PARTS)
  .map(([letter, { name, shows }]) => `  ${letter}  ${name.padEnd(11)} ${shows}`)
  .join('\n')}

It ends with 1 when a part broke or it was interrupted, and with 2 when it was called wrongly.`;

/** What the command was asked for. */
export interface Options {
  readonly size: LabSize;
  readonly parts: readonly (readonly [letter: string, part: Part])[];
  /** The file to write the numbers to, if any. */
  readonly json: string | undefined;
  readonly markdown: boolean;
  readonly check: boolean;
  readonly help: boolean;
}

const DESCRIPTIONS = {
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  scale: { type: 'string', default: '1' },
  json: { type: 'string' },
  markdown: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/**
 * Reads the command's arguments, and finds out whether its file can be written: at the end would be too late.
 *
 * @param env where npm leaves what it was given itself
 * @returns the options, or all that is wrong with them
 */
export function readOptions(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Options | { readonly problems: readonly string[] } {
  const given = parsed(args);
  if ('problems' in given) return given;
  const { quick, only, rounds, scale, json, markdown, check, help } = given.values;
  const size: LabSize = { quick, rounds: Number(rounds), scale: Number(scale) };
  const all = Object.entries(PARTS);
  const isNamed =
    (name: string) =>
    ([letter, part]: [string, Part]) =>
      name === letter || name === part.name;
  const names = only?.split(',');
  const problems = [
    ...keptByNpm('bench', Object.keys(DESCRIPTIONS), env),
    ...(names ?? []).filter((name) => !all.some(isNamed(name))).map((name) => `--only: no part is called "${name}"`),
    ...(Number.isInteger(size.rounds) && size.rounds > 0 ? [] : ['--rounds takes a whole number, 1 or more']),
    ...(size.scale > 0 && size.scale <= 1 ? [] : ['--scale takes a number above 0, and 1 at most']),
    ...(json === undefined ? [] : whyUnwritable(json)),
  ];
  if (problems.length > 0) return { problems };
  const parts = all.filter((part) => names === undefined || names.some((name) => isNamed(name)(part)));
  return { size, parts, json, markdown, check, help };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: DESCRIPTIONS });
  } catch (error) {
    return { problems: [(error as Error).message] };
  }
}
