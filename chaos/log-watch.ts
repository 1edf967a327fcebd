import { readFileSync } from 'node:fs';
import { isDatabaseOutage } from '../src/postgres/outage.ts';
import type { Member } from './fleet.ts';

/** What no outage explains: a mistake in the code, or a history that its workflow does not repeat. */
const MISTAKE = /\b(?:Type|Range|Reference|Syntax|Assertion)Error\b|non-?determinis|TMPRL1100|unhandled|uncaught/i;

/** Level of pino's `error`. */
const ERROR = 50;

/**
 * Whether a line of one of our logs should not be there, whatever was broken: an answer of 500, an error that names a
 * mistake in the code, non-determinism, an error of the database that is no outage (a refused permission, a mistake in SQL),
 * or something that is no log line and speaks of an error. A deadlock counts as an outage: faults that lock tables bring
 * them about.
 */
export function isUnexpected(line: string): boolean {
  const entry = entryOf(line);
  if (entry === null) return MISTAKE.test(line) || /^\S*Error\b|^\s+at \S/.test(line);
  if (entry.status === 500) return true;
  return entry.level >= ERROR && (MISTAKE.test(line) || isMisusedDatabase(entry));
}

/** What Postgres refused for what it was asked, and not for how it stood. Workers write its code beside, servers below. */
function isMisusedDatabase({ error, code, fault }: Entry): boolean {
  const [kind, sqlState] = fault === undefined ? [error, code] : [fault.type, fault.code];
  if (kind !== 'DatabaseError' || sqlState === undefined) return false;
  return !isDatabaseOutage(Object.assign(new Error(), { code: sqlState }));
}

/** The lines of the members' logs that should not be there, each with the name of its member. */
export function unexpectedLines(members: readonly Pick<Member, 'name' | 'logFile'>[]): string[] {
  return members.flatMap(({ name, logFile }) =>
    linesOf(logFile)
      .filter(isUnexpected)
      .map((line) => `${name}: ${line.slice(0, 500)}`),
  );
}

/** The lines of a log so far; none when it was never written. */
export function linesOf(logFile: string): string[] {
  try {
    return readFileSync(logFile, 'utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** What is looked at of pino's line. */
interface Entry {
  readonly level: number;
  readonly status?: unknown;
  readonly error?: unknown;
  readonly code?: unknown;
  readonly fault?: { readonly type?: unknown; readonly code?: unknown };
}

function entryOf(line: string): Entry | null {
  if (line.trim() === '') return { level: 0 };
  try {
    const entry: unknown = JSON.parse(line);
    const { level } = entry as { level?: unknown };
    return typeof level === 'number' ? (entry as Entry) : null;
  } catch {
    return null;
  }
}
