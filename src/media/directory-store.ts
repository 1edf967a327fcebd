import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MediaStore } from './ports.ts';

/** Files in a directory of this machine: for development, and for one machine with a backed-up disk. */
export function directoryStore(folder: string): MediaStore {
  const pathOf = (objectKey: string) => {
    if (!/^[0-9a-f]{8,}$/.test(objectKey)) throw new TypeError('an object key is hexadecimal');
    return join(folder, objectKey.slice(0, 2), objectKey.slice(2, 4), objectKey);
  };
  return {
    put: async (objectKey, bytes) => {
      const path = pathOf(objectKey);
      await mkdir(dirname(path), { recursive: true });
      // Whole or not at all, and on the disk before anybody refers to it.
      const draft = `${path}.${randomUUID()}`;
      const file = await open(draft, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
    },
    get: async (objectKey) => {
      try {
        return { bytes: await readFile(pathOf(objectKey)) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    remove: (objectKey) => rm(pathOf(objectKey), { force: true }),
    close: () => Promise.resolve(),
  };
}
