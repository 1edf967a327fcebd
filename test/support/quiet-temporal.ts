import { DefaultLogger, Runtime, makeTelemetryFilterString } from '@temporalio/worker';

let installed = false;

/**
 * Sets up the SDK's runtime of this test file to log warnings and errors only; call it before the first Worker or native
 * connection. Warnings stay: a run that sets an unregistered search attribute leaves no other trace.
 */
export function quietTemporal(): void {
  if (installed) return;
  installed = true;
  Runtime.install({
    logger: new DefaultLogger('WARN'),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  });
}
