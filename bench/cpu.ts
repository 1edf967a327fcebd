import { readFileSync, readdirSync } from 'node:fs';

/** Clock ticks per second of `/proc/<pid>/stat`, the same on every Linux of today. */
const TICKS_PER_SECOND = 100;

/** Processor time that a process and all its living children have used so far, in milliseconds; Linux alone tells it. */
export function cpuMs(pid: number): number {
  const stats = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name): [number, Stat][] => {
        const stat = statOf(Number(name));
        return stat === null ? [] : [[Number(name), stat]];
      }),
  );
  const own = stats.get(pid);
  if (own === undefined) return 0;
  const children = [...stats.values()].filter(({ parent }) => parent === pid);
  // Children that have ended count with their parent.
  return own.ms + own.endedChildrenMs + children.reduce((sum, { ms }) => sum + ms, 0);
}

interface Stat {
  readonly parent: number;
  readonly ms: number;
  readonly endedChildrenMs: number;
}

function statOf(pid: number): Stat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // It ended meanwhile.
    return null;
  }
  // After the name in brackets, which may hold anything: state, parent, and from the 12th on the times.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const ms = (first: number) => (((fields[first] ?? 0) + (fields[first + 1] ?? 0)) * 1_000) / TICKS_PER_SECOND;
  return { parent: fields[1] ?? 0, ms: ms(11), endedChildrenMs: ms(13) };
}
