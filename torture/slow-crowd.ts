import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Many slow clients of one server. */
export interface Crowd {
  /** First answers that came, by status. */
  statuses(): Promise<ReadonlyMap<number, number>>;
  /** Closes what is left. */
  leave(): Promise<unknown>;
}

/**
 * Opens connections: heads that drip, bodies that drip, such as stay after one answer, and a few that ask for much and never
 * read. They are a process of their own, so that whoever
 * measures is not held up by them.
 *
 * @param apiKey of an application that may send bodies
 */
export async function gatherCrowd(port: number, apiKey: string, count: number): Promise<Crowd> {
  const crowd = fork(fileURLToPath(new URL('slow-crowd-process.ts', import.meta.url)), [`${port}`, apiKey, `${count}`]);
  await once(crowd, 'message');
  return {
    statuses: async () => {
      const answered = once(crowd, 'message');
      crowd.send('statuses');
      return new Map((await answered)[0] as [number, number][]);
    },
    leave: async () => {
      const gone = once(crowd, 'exit');
      crowd.kill('SIGKILL');
      await gone;
    },
  };
}
