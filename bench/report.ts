import { readFileSync } from 'node:fs';
import { machine, type Machine } from '../test/support/machine.ts';
import { spreadOf, type Findings, type Spread } from './frame.ts';
import { judge, TARGETS } from './targets.ts';

/** What `--json` writes. */
export interface Report {
  /** When the run began, in ISO 8601. */
  readonly begun: string;
  /** Of our code, as {@link commit} has it. */
  readonly commit: string | null;
  readonly ratios: Readonly<Record<string, Spread>>;
  readonly figures: Readonly<Record<string, Spread>>;
  /** A short run's numbers are no more than a hint. */
  readonly size: { readonly quick: boolean; readonly rounds: number; readonly scale: number };
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  /** By the letters of parts that were measured together, and of `all`. */
  readonly elapsed_seconds: Readonly<Record<string, number>>;
  /** Names of the parts that broke: what they would have measured is not there. */
  readonly broken: readonly string[];
}

/** What a report holds beside what was found. */
export type About = Pick<Report, 'begun' | 'commit' | 'size' | 'versions' | 'elapsed_seconds' | 'broken'>;

/**
 * The medians of what all parts found.
 *
 * @param about its `versions` are of the servers that were started
 */
export function reportOf(findings: readonly Findings[], about: About): Report {
  const spreads = (kind: 'ratios' | 'figures') =>
    Object.fromEntries(
      findings.flatMap((found) => Object.entries(found[kind]).map(([name, numbers]) => [name, spreadOf(numbers)])),
    );
  return {
    ratios: spreads('ratios'),
    figures: spreads('figures'),
    ...about,
    machine: machine(),
    versions: { ...ownVersions(), ...about.versions },
  };
}

/** Names of ratios whose medians miss what they must reach. */
export function missed({ ratios }: Report): string[] {
  return Object.entries(ratios)
    .filter(([name, { median }]) => judge(name, median) === 'missed')
    .map(([name]) => name);
}

/** Names of targets of these parts that the report has no ratio for. */
export function unmeasured({ ratios }: Report, parts: readonly string[]): string[] {
  return Object.entries(TARGETS)
    .filter(([name, { part }]) => parts.includes(part) && !(name in ratios))
    .map(([name]) => name);
}

/**
 * What the command ends with: 1 when a part broke, and where `check` asks for it when a ratio misses what it must reach
 * or one with a target was not measured.
 *
 * @param parts names of those that were to be measured
 */
export function exitCode(
  report: Report,
  { check, parts }: { readonly check: boolean; readonly parts: readonly string[] },
): 0 | 1 {
  const failed = missed(report).length > 0 || unmeasured(report, parts).length > 0;
  return report.broken.length > 0 || (check && failed) ? 1 : 0;
}

/** What the figures of processor time end with. */
const CPU = 'CpuMs';

/**
 * Three tables, each if there is something in it: the ratios with their targets, the processor time that one of each
 * contender took in each process, and all other figures. As text in columns, or as Markdown as our formatter leaves it.
 */
export function tablesOf(report: Report, form: 'text' | 'markdown'): string {
  const named = (name: string) => (form === 'text' ? name : `\`${name}\``);
  const judged = Object.keys(TARGETS).filter((name) => name in report.ratios);
  const others = Object.keys(report.ratios).filter((name) => !judged.includes(name));
  const cells = (name: string, { median, min, max }: Spread) => [named(name), ...[median, min, max].map(shown)];
  const ratios = [...judged, ...others].map((name) => {
    const spread = report.ratios[name] as Spread;
    const target = TARGETS[name];
    const limit = (number: number | null | undefined) =>
      number === null || number === undefined ? '–' : `${target?.better === 'more' ? '≥' : '≤'} ${number}`;
    return [...cells(name, spread), limit(target?.must), limit(target?.aim), judge(name, spread.median) ?? '–'];
  });
  const figures = Object.entries(report.figures).filter(([name]) => !/cpuMs$/i.test(name));
  const tables = [
    [['ratio', 'median', 'min', 'max', 'must', 'aim', 'reached'], ...ratios],
    cpuTable(report.figures, named),
    [['figure', 'median', 'min', 'max'], ...figures.map(([name, spread]) => cells(name, spread))],
  ].filter((rows) => rows.length > 1);
  return tables.map((rows) => (form === 'text' ? columns(rows) : markdown(rows))).join('\n\n');
}

/** One row for each contender whose processor time is known, in milliseconds for one; medians. */
function cpuTable(figures: Report['figures'], named: (name: string) => string): string[][] {
  const contenders = Object.keys(figures).flatMap((name) => /^(.+)_cpuMs$/.exec(name)?.[1] ?? []);
  const processOf = (contender: string, name: string) =>
    name.startsWith(`${contender}_`) && name.endsWith(CPU) ? name.slice(contender.length + 1, -CPU.length) : '';
  const processes = new Set(
    contenders.flatMap((contender) => Object.keys(figures).map((name) => processOf(contender, name))),
  );
  // Of contenders whose name begins with another's.
  const names = [...processes].filter((name) => name !== '' && !name.includes('_'));
  const cell = (figure: string) => (figures[figure] === undefined ? '–' : shown(figures[figure].median));
  const rows = contenders.map((contender) => [
    named(contender),
    cell(`${contender}_cpuMs`),
    ...names.map((name) => cell(`${contender}_${name}${CPU}`)),
  ]);
  return [['CPU ms for one', 'all', ...names], ...rows];
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = widthsOf(rows);
  return rows.map((row) => padded(row, widths).join('  ')).join('\n');
}

function markdown(rows: readonly (readonly string[])[]): string {
  // A rule has three characters at least, and ends with a colon where the column is right-aligned.
  const widths = widthsOf(rows).map((width) => Math.max(width, 3));
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const [head = [], ...body] = rows.map((row) => padded(row, widths));
  return [head, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const widthsOf = (rows: readonly (readonly string[])[]): number[] =>
  (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));

/** The first cell to the left, numbers to the right. */
const padded = (row: readonly string[], widths: readonly number[]): string[] =>
  row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)));

/** Three digits, whatever the size. */
function shown(number: number): string {
  if (number !== 0 && Math.abs(number) < 100) return String(Number(number.toPrecision(3)));
  return String(Math.round(number));
}

/** Versions of Node and of the packages that the numbers depend on. */
function ownVersions(): Record<string, string> {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
    packages: Record<string, { version: string } | undefined>;
  };
  const packages = ['@dbos-inc/dbos-sdk', '@temporalio/worker', 'fastify', 'pg', 'undici'];
  const versions = packages.map((name) => [name, lock.packages[`node_modules/${name}`]?.version ?? 'unknown']);
  return { node: process.version, ...Object.fromEntries(versions) };
}
