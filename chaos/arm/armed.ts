import { writeFileSync } from 'node:fs';
import { asyncLocalStorage } from '@temporalio/activity';

/** How a process died of its crash point; the file that `CRASH_REPORT` names holds it as JSON. */
export interface Death {
  /** As `FAIL_AT` had it, without its count. */
  readonly point: string;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Ids (UUIDs) of what was under way: of the run, and those that the statements, the call or the request named. */
  readonly about: readonly string[];
}

/** The crash point that this process is to die at. */
export interface Armed {
  readonly point: string;
  /**
   * Tells that the process has come to the point. Does not return when it is for the time that is armed.
   *
   * @param about texts that name what is under way; only those that hold `FAIL_FOR`, if that is set, count
   */
  reached(about: Iterable<string>): void;
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/**
 * Reads `FAIL_AT=<point>[:n]` and `FAIL_FOR`. Whatever then kills this process from within, the worker's own crash
 * points included, leaves a report.
 */
export function readArmed(env: NodeJS.ProcessEnv): Armed | null {
  const [, point, count = '1'] = /^(.+?)(?::(\d+))?$/.exec(env['FAIL_AT'] ?? '') ?? [];
  if (point === undefined) return null;
  const { CRASH_REPORT: report, FAIL_FOR: only } = env;
  let left = Number(count);
  let texts: string[] = [];

  const kill = process.kill.bind(process);
  process.kill = (pid, signal) => {
    if (pid === process.pid && signal === 'SIGKILL' && report !== undefined) {
      const about = [...new Set([...texts, runUnderWay()].join(' ').match(UUID))];
      writeFileSync(report, JSON.stringify({ point, pid, at: Date.now(), about } satisfies Death));
    }
    return kill(pid, signal);
  };
  return {
    point,
    reached: (about) => {
      texts = [...about];
      if (only !== undefined && !texts.some((text) => text.includes(only))) return;
      left -= 1;
      if (left === 0) process.kill(process.pid, 'SIGKILL');
    },
  };
}

/** Id of the run whose activity this is; empty outside of activities. */
export function runUnderWay(): string {
  return asyncLocalStorage.getStore()?.info.workflowExecution?.workflowId ?? '';
}
