import { createHash } from 'node:crypto';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { noteObjects } from '../postgres/media.ts';
import type { KeyedSession, SessionFile } from '../sharing/ports.ts';
import type { NewFile } from './file-types.ts';
import type { MediaStore } from './ports.ts';
import { sealFile } from './sealed-file.ts';

/** What storing needs. */
export interface FileKeeper {
  readonly tenants: Pick<HandoffTenants, 'acrossTenants' | 'sealer'>;
  readonly media: MediaStore;
}

/** A file that is to be stored for a session, which may be yet to come. */
export interface FileOfSession extends NewFile {
  readonly session: KeyedSession;
}

const PUTS_AT_ONCE = 4;

/**
 * Stores files ahead of the transaction that gives them to their session (`tx.sessions.insertMedia`). Each object is written
 * down before it is put, so that one which nobody refers to within the hour is found and taken away.
 *
 * @throws {MediaStoreUnavailable} when the store does not answer
 */
export async function storeFiles(keeper: FileKeeper, files: readonly FileOfSession[]): Promise<SessionFile[]> {
  if (files.length === 0) return [];
  const { tenants, media } = keeper;
  const objects = files.map(({ session, mediaId, bytes }) => {
    const sealed = sealFile(tenants.sealer, session, mediaId, bytes);
    return { objectKey: createHash('sha256').update(sealed).digest('hex'), sealed, byteLength: sealed.length };
  });
  await tenants.acrossTenants('media', async (_tx, sql) => noteObjects(sql, objects));
  const left = [...objects];
  await Promise.all(
    Array.from({ length: PUTS_AT_ONCE }, async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) await media.put(next.objectKey, next.sealed);
    }),
  );
  return files.map(({ mediaId, contentType, bytes }, index) => ({
    mediaId,
    objectKey: objects[index]?.objectKey ?? null,
    contentType,
    byteLength: bytes.length,
  }));
}
