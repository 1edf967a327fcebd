import { directoryStore } from './directory-store.ts';
import type { MediaStore, MediaStoreConfig } from './ports.ts';

/** Opens the store that the configuration names. */
export function openMediaStore(config: MediaStoreConfig): MediaStore {
  if (config.kind === 'directory') return directoryStore(config.folder);
  throw new Error('S3 comes with the media work');
}
