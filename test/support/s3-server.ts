import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../../src/dev/child-process.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { pythonTool } from './python-tools.ts';

/** A server that speaks S3, with one empty bucket. */
export interface S3Server {
  readonly endpoint: string;
  readonly bucket: string;
  /** Names of what lies in the bucket. */
  keys(): Promise<string[]>;
  stop(): Promise<void>;
}

const BUCKET = 'handoff-test';

/** Starts moto's server. The SDK's own chain finds the credentials in this process's environment, while it runs. */
export async function startS3Server(): Promise<S3Server> {
  const bin = await pythonTool(['moto[server]==5.2.5']);
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const logFile = join(mkdtempSync(join(tmpdir(), 'handoff-s3-')), 's3.log');
  const child = await startChild({
    name: 'moto',
    command: join(bin, 'moto_server'),
    args: ['-H', '127.0.0.1', '-p', String(port)],
    logFile,
    ready: async () => (await fetch(`${endpoint}/moto-api/`)).ok,
  });
  const names = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' };
  const before = Object.keys(names).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, names);
  const { S3Client, CreateBucketCommand, ListObjectsV2Command } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ endpoint, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    endpoint,
    bucket: BUCKET,
    keys: async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
      return Contents.map(({ Key }) => Key ?? '');
    },
    stop: async () => {
      client.destroy();
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      await child.stop();
    },
  };
}
