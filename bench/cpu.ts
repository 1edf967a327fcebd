import { readFileSync, readdirSync } from 'node:fs';

/** Clock ticks per second of `/proc/<pid>/stat`, the same on every Linux of today. */
const TICKS_PER_SECOND = 100;

/** What processes used, by a name for each, in milliseconds of processor time. */
export type CpuMs = Readonly<Record<string, number>>;

/**
 * Does `work` and tells what processor time went into it meanwhile; Linux alone tells it.
 *
 * @param processes their ids by a name for one or some; a process counts with all its living children
 * @returns `cpu` has one entry for each name, and `load` for this process
 */
export async function withCpu<T>(
  processes: Readonly<Record<string, readonly number[]>>,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpu: CpuMs }> {
  const used = (): Record<string, number> => {
    const stats = allStats();
    const { user, system } = process.cpuUsage();
    const load = (user + system) / 1_000;
    return {
      ...Object.fromEntries(
        Object.entries(processes).map(([name, pids]) => [
          name,
          pids.reduce((sum, pid) => sum + withChildrenMs(stats, pid), 0),
        ]),
      ),
      load,
    };
  };
  const before = used();
  const result = await work();
  const after = used();
  const cpu = Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)]));
  return { result, cpu };
}

interface Stat {
  readonly parent: number;
  readonly ms: number;
  readonly endedChildrenMs: number;
}

function allStats(): ReadonlyMap<number, Stat> {
  return new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name): [number, Stat][] => {
        const stat = statOf(Number(name));
        return stat === null ? [] : [[Number(name), stat]];
      }),
  );
}

function withChildrenMs(stats: ReadonlyMap<number, Stat>, pid: number): number {
  const own = stats.get(pid);
  if (own === undefined) return 0;
  const children = [...stats.values()].filter(({ parent }) => parent === pid);
  // Children that have ended count with their parent.
  return own.ms + own.endedChildrenMs + children.reduce((sum, { ms }) => sum + ms, 0);
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
