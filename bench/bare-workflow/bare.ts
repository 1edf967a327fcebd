import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { startChild, type RunningChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { inFlight, rateOf, type Rate } from '../in-flight.ts';
import type { Lab } from '../lab.ts';
import { BARE_QUEUE } from './queue.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

/** As many worker processes as an onboarding has. */
const WORKERS = 2;

/** The bare workflow, ready to be run. */
export interface BareWorkflows {
  readonly workers: readonly RunningChild[];
  /** Runs it so often, each from its start until its result. */
  load(count: number, atATime: number): Promise<Rate>;
}

/** Starts its workers on the lab's Temporal, until the part has ended. */
export async function startBareWorkflows(lab: Lab, temporal: Client): Promise<BareWorkflows> {
  const { address } = await lab.servers.temporal();
  const workers: RunningChild[] = [];
  while (workers.length < WORKERS) {
    const port = await freePort();
    const worker = await startChild({
      name: 'A worker of the bare workflow',
      command: process.execPath,
      args: [WORKER],
      logFile: join(lab.folder, `bare-worker-${workers.length + 1}.log`),
      env: { ...process.env, TEMPORAL_ADDRESS: address, HEALTH_PORT: String(port) },
      ready: async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok,
    });
    lab.onEnd(() => worker.stop());
    workers.push(worker);
  }
  return {
    workers,
    load: async (count, atATime) =>
      rateOf(
        await inFlight(Array.from({ length: count }), atATime, async () => {
          const order = { workflowId: randomUUID(), taskQueue: BARE_QUEUE };
          const result: unknown = await temporal.workflow.execute('BareWorkflow', order);
          if (result !== 'done') throw new Error(`a bare workflow answered ${String(result)}`);
        }),
      ),
  };
}
