import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { serveHealth } from '../../src/health-port.ts';
import { createLogger, temporalLogger } from '../../src/logging.ts';
import { bareActivities } from './activities.ts';
import { BARE_QUEUE } from './queue.ts';

// A worker with the SDK's defaults throughout; its argument is the file of the bundled workflow.
Runtime.install({
  logger: temporalLogger(createLogger('bare-worker', 'warn')),
  shutdownSignals: ['SIGTERM', 'SIGINT'],
});
const worker = await Worker.create({
  connection: await NativeConnection.connect(loadClientConnectConfig().connectionOptions),
  taskQueue: BARE_QUEUE,
  workflowBundle: { codePath: String(process.argv[2]) },
  activities: bareActivities,
});
const stopAnswering = await serveHealth(Number(process.env['HEALTH_PORT']), () => worker.getState() === 'RUNNING');
await worker.run();
stopAnswering();
