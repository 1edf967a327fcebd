import { directoryStore } from './directory-store.ts';
import type { MediaStore, MediaStoreConfig } from './ports.ts';
import { s3Store } from './s3-store.ts';

/** Opens the store that the configuration names. Nothing is looked for before the first call. */
export function openMediaStore(config: MediaStoreConfig): MediaStore {
  return config.kind === 'directory' ? directoryStore(config.folder) : s3Store(config);
}
