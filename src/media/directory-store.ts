import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { objectPath } from './object-path.ts';
import { MediaStoreUnavailable, type MediaStore } from './ports.ts';

/** No put takes as long. */
const DRAFT_MS = 60 * 60_000;

/** Files in a directory of this machine: for development, and for one machine with a backed-up disk. */
export function directoryStore(folder: string): MediaStore {
  const drafts = join(folder, '.drafts');
  const pathOf = (objectKey: string) => join(folder, objectPath(objectKey));
  return {
    put: async (objectKey, bytes) => answered(write(drafts, pathOf(objectKey), bytes)),
    get: async (objectKey) => answered(readFile(pathOf(objectKey)).catch(nullWhenMissing)),
    remove: async (objectKey) => answered(rm(pathOf(objectKey), { force: true })),
    tidy: async () => answered(removeOldDrafts(drafts)),
    close: () => Promise.resolve(),
  };
}

async function write(drafts: string, path: string, bytes: Uint8Array): Promise<void> {
  for (const folder of [drafts, dirname(path)]) await mkdir(folder, { recursive: true, mode: 0o700 });
  // Whole or not at all, and on the disk before anybody refers to it.
  const draft = join(drafts, randomUUID());
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  // The name, too, has to outlive a loss of power.
  const parent = await open(dirname(path), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

/** Drafts of puts that died; by this machine's clock, as they were written. */
async function removeOldDrafts(drafts: string): Promise<void> {
  const names = (await readdir(drafts).catch(nullWhenMissing)) ?? [];
  for (const name of names) {
    const draft = join(drafts, name);
    // Null when its put has ended since.
    const file = await stat(draft).catch(nullWhenMissing);
    if (file !== null && Date.now() - file.mtimeMs > DRAFT_MS) await rm(draft, { force: true });
  }
}

function nullWhenMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

/** A full or lost disk is an outage; the message holds its code alone, for paths name objects. */
async function answered<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new MediaStoreUnavailable(`directory: ${(error as NodeJS.ErrnoException).code ?? 'failed'}`);
  }
}
