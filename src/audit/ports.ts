import type { Anchor } from './anchors.ts';

/** Where anchors are kept, outside the database: nothing is ever changed or taken away. */
export interface AnchorStore {
  /** Resolves once they are safe. @throws {AnchorStoreUnavailable} */
  append(anchors: readonly Anchor[]): Promise<void>;
  /** Every line that was ever kept, whoever wrote it, oldest file first. @throws {AnchorStoreUnavailable} */
  lines(): AsyncIterable<AnchorLine>;
  /** Frees connections. */
  close(): Promise<void>;
}

/** A line of the store, as it is there. */
export interface AnchorLine {
  /** File or object, and the line in it: `anchors-2026-11-05.ndjson:3`. */
  readonly place: string;
  readonly text: string;
}

/** The store does not answer: anchors wait, nothing else does. */
export class AnchorStoreUnavailable extends Error {
  override readonly name = 'AnchorStoreUnavailable';
}

/** Which store is used, as `AUDIT_ANCHORS` names it. */
export type AnchorStoreConfig =
  | { readonly kind: 'directory'; readonly folder: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string; readonly endpoint: string | null };
