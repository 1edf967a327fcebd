/**
 * Where files lie: a directory or an S3 bucket. Content-addressed: the key is made of what is stored, so that a put of the
 * same bytes twice is one object, and nothing is ever changed in place.
 */
export interface MediaStore {
  /** Stores bytes under a key; the same key again is the same bytes, and a success. @throws {MediaStoreUnavailable} */
  put(objectKey: string, bytes: Uint8Array): Promise<void>;
  /** Null when there is no such object. @throws {MediaStoreUnavailable} */
  get(objectKey: string): Promise<Buffer | null>;
  /** Takes an object away; one that is not there is a success. Gives up within 8 seconds. @throws {MediaStoreUnavailable} */
  remove(objectKey: string): Promise<void>;
  /** Takes away what puts left behind that died in the middle. @throws {MediaStoreUnavailable} */
  tidy(): Promise<void>;
  /** Frees connections. */
  close(): Promise<void>;
}

/** The store does not answer, or not in time: the same call may succeed later (HTTP 503). */
export class MediaStoreUnavailable extends Error {
  override readonly name = 'MediaStoreUnavailable';
}

/** Which store a process uses, as `MEDIA_STORE` names it. */
export type MediaStoreConfig =
  | { readonly kind: 'directory'; readonly folder: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string; readonly endpoint: string | null };
