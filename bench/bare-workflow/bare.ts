import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { startChild, type RunningChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { inFlight, type Timing } from '../in-flight.ts';
import type { Lab } from '../lab.ts';
import { within } from '../until.ts';
import { BARE_QUEUE } from './queue.ts';

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** As many worker processes as an onboarding has. */
const WORKERS = 2;

/** The bare workflow, ready to be run. */
export interface BareWorkflows {
  readonly workers: readonly RunningChild[];
  /** Runs it so often, each from its start until its result. */
  run(count: number, atATime: number): Promise<Timing>;
}

/** Starts its workers on the lab's Temporal, until the part has ended. */
export async function startBareWorkflows(lab: Lab, temporal: Client): Promise<BareWorkflows> {
  const { address } = await lab.servers.temporal();
  // Once for all of them, as our own workers find theirs.
  const bundle = join(lab.folder, 'bare-workflow-bundle.js');
  const { code } = await bundleWorkflowCode({ workflowsPath: here('workflows.ts'), logger: new DefaultLogger('WARN') });
  await writeFile(bundle, code);
  const start = async (number: number) => {
    const port = await freePort();
    const worker = await startChild({
      name: 'A worker of the bare workflow',
      command: process.execPath,
      args: [here('worker.ts'), bundle],
      logFile: join(lab.folder, `bare-worker-${number}.log`),
      env: { ...process.env, TEMPORAL_ADDRESS: address, HEALTH_PORT: String(port) },
      ready: async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok,
    });
    lab.onEnd(() => worker.stop());
    return worker;
  };
  const workers = await Promise.all(Array.from({ length: WORKERS }, (_, at) => start(at + 1)));
  return {
    workers,
    run: (count, atATime) =>
      inFlight(Array.from({ length: count }), atATime, async () => {
        const order = { workflowId: randomUUID(), taskQueue: BARE_QUEUE };
        const run: Promise<unknown> = temporal.workflow.execute('BareWorkflow', order);
        const result = await within('the end of a bare workflow', run);
        if (result !== 'done') throw new Error(`a bare workflow answered ${String(result)}`);
      }),
  };
}
