import { objectPath } from './object-path.ts';
import { MediaStoreUnavailable, type MediaStore, type MediaStoreConfig } from './ports.ts';
import { openS3, type OpenedS3 } from './s3-client.ts';

/** A call may take this long with its retries, in milliseconds. */
const CALL_MS = 20_000;
/** A removal less: whoever refers to the object waits for it at a lock, and gives up after 15 seconds. */
const REMOVAL_MS = 8_000;

/** Files in an S3 bucket, or in a server that speaks S3 at `endpoint`. Nothing is opened before the first call. */
export function s3Store({ bucket, prefix, endpoint }: Extract<MediaStoreConfig, { kind: 's3' }>): MediaStore {
  let opening: Promise<OpenedS3> | undefined;
  const opened = () => (opening ??= openS3(endpoint));
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

/** Whatever goes wrong is the store's: a missing bucket and a wrong key are as much an outage as a lost network. */
async function answered<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new MediaStoreUnavailable(`S3: ${error instanceof Error ? error.name : 'failed'}`);
  }
}
