import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Whether a process exists and has not ended; a zombie that nobody collects (usual in containers) has ended. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits until a process has ended; the test's own time limit ends the wait. */
export async function waitUntilGone(pid: number): Promise<void> {
  while (isRunning(pid)) await sleep(50);
}
