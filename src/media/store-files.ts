import { createHash } from 'node:crypto';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { noteObjects } from '../postgres/media.ts';
import type { SessionFile } from '../sharing/ports.ts';
import type { NewFile } from './file-types.ts';
import type { MediaStore } from './ports.ts';
import { sealFile } from './sealed-file.ts';

/** What storing needs. */
export interface FileKeeper {
  readonly tenants: Pick<HandoffTenants, 'acrossTenants'>;
  readonly media: MediaStore;
}

const PUTS_AT_ONCE = 4;

/**
 * Stores files ahead of the transaction that gives them to a session (`tx.sessions.insertMedia`). Each object is written
 * down before it is put, so that one which nobody refers to within the hour is found and taken away.
 *
 * @throws {MediaStoreUnavailable} when the store does not answer
 */
export async function storeFiles(keeper: FileKeeper, files: readonly NewFile[]): Promise<SessionFile[]> {
  if (files.length === 0) return [];
  const objects = new Map<string, Buffer>();
  const stored = files.map(({ mediaId, contentType, bytes }): SessionFile => {
    const sealed = sealFile(bytes);
    const objectKey = createHash('sha256').update(sealed).digest('hex');
    objects.set(objectKey, sealed);
    return { mediaId, objectKey, contentType, byteLength: bytes.length };
  });
  await keeper.tenants.acrossTenants('media', async (_tx, sql) =>
    noteObjects(
      sql,
      [...objects].map(([objectKey, sealed]) => ({ objectKey, byteLength: sealed.length })),
    ),
  );
  const left = [...objects];
  await Promise.all(
    Array.from({ length: PUTS_AT_ONCE }, async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) await keeper.media.put(...next);
    }),
  );
  return stored;
}
