/*
 * Run as a program: `sdk-download.ts <temporal | temporal-test-server> <version> <folder>` lets the SDK download that
 * executable into the folder. The SDK offers no download by itself, so the server is started once and ended.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';

const [command, version, downloadDir] = process.argv.slice(2);
if (version === undefined || downloadDir === undefined) throw new Error('Give a command, a version and a folder');

try {
  const server = { executable: { type: 'cached-download', version, downloadDir } } as const;
  const environment =
    command === 'temporal'
      ? await TestWorkflowEnvironment.createLocal({ server })
      : await TestWorkflowEnvironment.createTimeSkipping({ server });
  await environment.teardown();
} catch (error) {
  console.error((error as Error).message.split('\n')[0]);
  process.exitCode = 1;
}
