import type { History } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import { loadWorkflowBundle } from '../../src/worker.ts';
import type { Invariant } from '../invariant.ts';
import { finding, withTemporal } from '../oracle-reading.ts';
import { createRandom } from '../random.ts';
import type { Rig } from '../rig.ts';

/** Histories that are replayed; a longer run has more, of which the seed picks. */
const MOST = { quick: 100, whole: 400 } as const;

/** I11. */
export const replayable: Invariant = {
  id: 'I11',
  says: 'the histories of the run replay on the present code',
  check: async (rig) => {
    const { listed, histories } = await sampled(rig);
    sayNothing();
    const workflowBundle = await loadWorkflowBundle(false);
    const breaks: string[] = [];
    let replayed = 0;
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
      replayed += 1;
      if (error !== undefined) breaks.push(`${workflowId}: ${error.message}`);
    }
    if (replayed === 0) breaks.push('there was no history to replay');
    return finding(`${replayed} of ${listed} histories`, breaks);
  },
};

/** What goes wrong is a break, and told as such; signals are the runner's own. */
function sayNothing(): void {
  if (Runtime._instance !== undefined) return;
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    shutdownSignals: [],
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
    },
  });
}

async function sampled(
  rig: Rig,
): Promise<{ readonly listed: number; readonly histories: { workflowId: string; history: History }[] }> {
  return withTemporal(rig, async (client) => {
    const runs: { workflowId: string; runId: string }[] = [];
    for await (const { workflowId, runId } of client.workflow.list()) runs.push({ workflowId, runId });
    const some = createRandom(rig.seed)
      .shuffled(runs)
      .slice(0, rig.quick ? MOST.quick : MOST.whole);
    const histories = [];
    for (const { workflowId, runId } of some) {
      histories.push({ workflowId, history: await client.workflow.getHandle(workflowId, runId).fetchHistory() });
    }
    return { listed: runs.length, histories };
  });
}
