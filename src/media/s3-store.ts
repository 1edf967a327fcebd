import type * as S3 from '@aws-sdk/client-s3';
import { objectPath } from './object-path.ts';
import { MediaStoreUnavailable, type MediaStore, type MediaStoreConfig } from './ports.ts';

/** A call may take this long with its retries, in milliseconds. */
const CALL_MS = 20_000;
/** A removal less: whoever stores the same bytes waits for it at a lock, and gives up after 15 seconds. */
const REMOVAL_MS = 8_000;
const ATTEMPTS = 3;

/** The SDK, once it is loaded, and a client of it. */
interface Opened {
  readonly sdk: typeof S3;
  readonly client: S3.S3Client;
}

/**
 * Files in an S3 bucket, or in a server that speaks S3 at `endpoint` (addressed by path). Region and credentials come from
 * the SDK's own chain. The SDK is loaded at the first call, so that nobody else carries it.
 */
export function s3Store({ bucket, prefix, endpoint }: Extract<MediaStoreConfig, { kind: 's3' }>): MediaStore {
  let opening: Promise<Opened> | undefined;
  const opened = () => (opening ??= open(endpoint));
  const at = (objectKey: string) => ({
    Bucket: bucket,
    Key: prefix === '' ? objectPath(objectKey) : `${prefix}/${objectPath(objectKey)}`,
  });
  const within = (milliseconds = CALL_MS) => ({ abortSignal: AbortSignal.timeout(milliseconds) });
  return {
    put: (objectKey, bytes) =>
      answered(async () => {
        const { sdk, client } = await opened();
        await client.send(new sdk.PutObjectCommand({ ...at(objectKey), Body: bytes }), within());
      }),
    get: (objectKey) =>
      answered(async () => {
        const { sdk, client } = await opened();
        try {
          const { Body } = await client.send(new sdk.GetObjectCommand(at(objectKey)), within());
          return Body === undefined ? null : Buffer.from(await Body.transformToByteArray());
        } catch (error) {
          if (error instanceof sdk.NoSuchKey) return null;
          throw error;
        }
      }),
    remove: (objectKey) =>
      answered(async () => {
        const { sdk, client } = await opened();
        await client.send(new sdk.DeleteObjectCommand(at(objectKey)), within(REMOVAL_MS));
      }),
    // An upload that dies leaves nothing.
    tidy: () => Promise.resolve(),
    close: async () => {
      if (opening !== undefined) (await opening).client.destroy();
    },
  };
}

async function open(endpoint: string | null): Promise<Opened> {
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 10_000, throwOnRequestTimeout: true },
    // Other servers know fewer checksums than Amazon's; the key is the bytes' own hash.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint !== null && {
      endpoint,
      forcePathStyle: true,
      region: process.env['AWS_REGION'] || 'us-east-1',
    }),
  });
  return { sdk, client };
}

/** Whatever goes wrong is the store's: a missing bucket and a wrong key are as much an outage as a lost network. */
async function answered<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new MediaStoreUnavailable(`S3: ${error instanceof Error ? error.name : 'failed'}`);
  }
}
