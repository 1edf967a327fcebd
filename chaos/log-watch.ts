import { readFileSync } from 'node:fs';
import type { Member } from './fleet.ts';

/** What no outage explains: a mistake in the code, or a history that its workflow does not repeat. */
const MISTAKE = /\b(?:Type|Range|Reference|Syntax|Assertion)Error\b|non-?determinis|TMPRL1100|unhandled|uncaught/i;

/** Level of pino's `error`. */
const ERROR = 50;

/**
 * Whether a line of one of our logs should not be there, whatever was broken: an answer of 500, an error that names a
 * mistake in the code, non-determinism, or something that is no log line and speaks of an error.
 */
export function isUnexpected(line: string): boolean {
  const entry = entryOf(line);
  if (entry === null) return MISTAKE.test(line) || /^\S*Error\b|^\s+at \S/.test(line);
  if (entry.status === 500) return true;
  return entry.level >= ERROR && MISTAKE.test(line);
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

function entryOf(line: string): { readonly level: number; readonly status?: unknown } | null {
  if (line.trim() === '') return { level: 0 };
  try {
    const entry: unknown = JSON.parse(line);
    const { level } = entry as { level?: unknown };
    return typeof level === 'number' ? (entry as { level: number; status?: unknown }) : null;
  } catch {
    return null;
  }
}
