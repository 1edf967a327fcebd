import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Many slow clients of one server. */
export interface Crowd {
  /** First answers that came, by status. */
  statuses(): Promise<ReadonlyMap<number, number>>;
  /** Closes what is left. */
  leave(): Promise<unknown>;
}

/**
 * Opens connections: heads that drip, bodies that drip, such as stay after one answer, and a few that ask for much and never
 * read. They are in a thread of their own, so that whoever measures is not held up by them.
 *
 * @param apiKey of an application that may send bodies
 */
export async function gatherCrowd(port: number, apiKey: string, count: number): Promise<Crowd> {
  const thread = new Worker(new URL('slow-crowd-thread.ts', import.meta.url), { workerData: { port, apiKey, count } });
  await once(thread, 'message');
  return {
    statuses: async () => {
      const answered = once(thread, 'message');
      thread.postMessage('statuses');
      return (await answered)[0] as ReadonlyMap<number, number>;
    },
    leave: () => thread.terminate(),
  };
}
