import { randomUUID } from 'node:crypto';
import { openS3, type OpenedS3 } from '../media/s3-client.ts';
import { anchorText } from './anchors.ts';
import { AnchorStoreUnavailable, type AnchorLine, type AnchorStore, type AnchorStoreConfig } from './ports.ts';

/** A call may take this long with its retries, in milliseconds. */
const CALL_MS = 20_000;
/** Objects that are read at once. */
const READS = 16;

/**
 * One object for each append, `<day>/<time>-<random>.ndjson`, in a bucket of S3 or of a server that speaks it. A bucket
 * with an object lock keeps them from everybody.
 */
export function s3Anchors({ bucket, prefix, endpoint }: Extract<AnchorStoreConfig, { kind: 's3' }>): AnchorStore {
  let opening: Promise<OpenedS3> | undefined;
  const opened = () => (opening ??= openS3(endpoint));
  const under = prefix === '' ? '' : `${prefix}/`;
  const within = () => ({ abortSignal: AbortSignal.timeout(CALL_MS) });

  async function* keys(): AsyncGenerator<string[]> {
    const { sdk, client } = await opened();
    let next: string | undefined;
    do {
      const query = { Bucket: bucket, Prefix: under, ...(next !== undefined && { ContinuationToken: next }) };
      const page = await answered(() => client.send(new sdk.ListObjectsV2Command(query), within()));
      yield (page.Contents ?? []).flatMap(({ Key }) => (Key?.endsWith('.ndjson') === true ? [Key] : []));
      next = page.NextContinuationToken;
    } while (next !== undefined);
  }

  async function read(key: string): Promise<AnchorLine[]> {
    const { sdk, client } = await opened();
    const text = await answered(async () => {
      const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }), within());
      return (await Body?.transformToString()) ?? '';
    });
    const place = key.slice(under.length);
    return text.split('\n').flatMap((line, at) => (line === '' ? [] : [{ place: `${place}:${at + 1}`, text: line }]));
  }

  return {
    append: (anchors) =>
      answered(async () => {
        const [first] = anchors;
        if (first === undefined) return;
        const { sdk, client } = await opened();
        const Key = `${under}${first.anchored_at.slice(0, 10)}/${first.anchored_at.replaceAll(':', '')}-${randomUUID()}.ndjson`;
        const Body = anchors.map(anchorText).join('');
        await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key, Body }), within());
      }),
    lines: async function* lines() {
      for await (const page of keys()) {
        for (let at = 0; at < page.length; at += READS) {
          yield* (await Promise.all(page.slice(at, at + READS).map(read))).flat();
        }
      }
    },
    close: async () => {
      if (opening !== undefined) (await opening).client.destroy();
    },
  };
}

async function answered<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new AnchorStoreUnavailable(`S3: ${error instanceof Error ? error.name : 'failed'}`);
  }
}
