import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';

/**
 * Sets up the SDK's runtime of this test file to log warnings and errors, but for the warnings that its tests bring
 * about; call it before the first Worker or native connection.
 */
export function logUnexpectedWarnings(expected: RegExp): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message }) => {
      if (level === 'ERROR' || !expected.test(message)) console.warn(level, message);
    }),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  });
}
