import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { startChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';

/** A time-skipping server of a test file's own. */
export interface TestServer {
  /** `host:port`. */
  readonly address: string;
  stop(): Promise<void>;
}

/**
 * Starts Temporal's test server. The SDK would leave it behind with a test process that is killed; this ends with it.
 *
 * @param binary path of the server
 */
export async function startTestServer(binary: string): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'handoff-test-server-'));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const child = await startChild({
    name: 'The Temporal test server',
    command: binary,
    args: [String(port)],
    logFile: join(folder, 'test-server.log'),
    ready: async () => {
      const connection = await Connection.connect({ address, connectTimeout: '1s' });
      await connection.close();
      return true;
    },
  });
  return {
    address,
    stop: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What `createTimeSkipping` gives, for a server that is there already. */
export function connectTimeSkipping(address: string): Promise<TestWorkflowEnvironment> {
  return TestWorkflowEnvironment['create']({
    server: { type: 'existing' },
    client: { identity: 'test' },
    supportsTimeSkipping: true,
    namespace: 'default',
    address,
  });
}
