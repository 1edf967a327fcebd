import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { spreadOf, type Findings, type Spread } from './frame.ts';
import { judge, TARGETS } from './targets.ts';

/** What `--json` writes. */
export interface Report {
  readonly ratios: Readonly<Record<string, Spread>>;
  readonly figures: Readonly<Record<string, Spread>>;
  /** A short run's numbers are no more than a hint. */
  readonly size: { readonly quick: boolean; readonly rounds: number; readonly scale: number };
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * The medians of what all parts found.
 *
 * @param versions of the servers that were started
 */
export function reportOf(
  findings: readonly Findings[],
  size: Report['size'],
  versions: Readonly<Record<string, string>>,
): Report {
  const spreads = (kind: 'ratios' | 'figures') =>
    Object.fromEntries(
      findings.flatMap((found) => Object.entries(found[kind]).map(([name, numbers]) => [name, spreadOf(numbers)])),
    );
  return {
    ratios: spreads('ratios'),
    figures: spreads('figures'),
    size,
    machine: machine(),
    versions: { ...ownVersions(), ...versions },
  };
}

/** Names of what has missed its least. */
export function missed({ ratios, figures }: Report): string[] {
  return Object.entries({ ...ratios, ...figures })
    .filter(([name, { median }]) => judge(name, median) === 'below')
    .map(([name]) => name);
}

/** Tables of the ratios and of the figures, as text in columns or as Markdown. */
export function tablesOf(report: Report, form: 'text' | 'markdown'): string {
  const headed = (rows: string[][], head: string[]) => (form === 'text' ? columns : markdown)([head, ...rows]);
  const judged = Object.keys(TARGETS).filter((name) => report.ratios[name] ?? report.figures[name]);
  const others = (all: Readonly<Record<string, Spread>>) => Object.keys(all).filter((name) => !judged.includes(name));
  const all = { ...report.ratios, ...report.figures };
  const cells = (name: string) => {
    const { median, min, max } = all[name] as Spread;
    return [name, ...[median, min, max].map(shown)];
  };
  const ratios = [...judged, ...others(report.ratios)].map((name) => {
    const target = TARGETS[name];
    const limit = (number: number | null | undefined) =>
      number === null || number === undefined ? '–' : `${target?.better === 'more' ? '≥' : '≤'} ${number}`;
    const verdict = judge(name, all[name]?.median ?? Number.NaN);
    return [...cells(name), limit(target?.must), limit(target?.aim), verdict ?? '–'];
  });
  const tables = [headed(ratios, ['ratio', 'median', 'min', 'max', 'must', 'aim', 'reached'])];
  const figures = others(report.figures).map(cells);
  if (figures.length > 0) tables.push(headed(figures, ['figure', 'median', 'min', 'max']));
  return tables.join('\n\n');
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

/** Three digits, whatever the size. */
function shown(number: number): string {
  if (number !== 0 && Math.abs(number) < 100) return String(Number(number.toPrecision(3)));
  return String(Math.round(number));
}

function machine(): Record<string, string | number> {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
  };
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
