import { directoryAnchors } from './directory-anchors.ts';
import type { AnchorStore, AnchorStoreConfig } from './ports.ts';
import { s3Anchors } from './s3-anchors.ts';

/** Opens the store that the configuration names. Nothing is looked for before the first call. */
export function openAnchorStore(config: AnchorStoreConfig): AnchorStore {
  return config.kind === 'directory' ? directoryAnchors(config.folder) : s3Anchors(config);
}
