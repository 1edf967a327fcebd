import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { objectPath } from './object-path.ts';
import { MediaStoreUnavailable, type MediaStore } from './ports.ts';

/** Files in a directory of this machine: for development, and for one machine with a backed-up disk. */
export function directoryStore(folder: string): MediaStore {
  const pathOf = (objectKey: string) => join(folder, objectPath(objectKey));
  return {
    put: async (objectKey, bytes) => answered(write(pathOf(objectKey), bytes)),
    get: async (objectKey) => answered(readFile(pathOf(objectKey)).catch(nullWhenMissing)),
    remove: async (objectKey) => answered(rm(pathOf(objectKey), { force: true })),
    close: () => Promise.resolve(),
  };
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Whole or not at all, and on the disk before anybody refers to it.
  const draft = `${path}.${randomUUID()}`;
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
