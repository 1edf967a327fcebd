import type { CheckParts } from '../../domain/decision-parts.ts';
import type { SessionDataKey } from './storage.ts';

/** A file of a session. Its payload names it by `mediaId`; the other members are null while it is with its source still. */
export interface SessionFile {
  /** UUID; a clone's file has the same. */
  readonly mediaId: string;
  readonly objectKey: string | null;
  readonly contentType: string | null;
  readonly byteLength: number | null;
}

/** A session and what its files are sealed with. It need not be there yet: then it gets this id and this key. */
export interface KeyedSession extends SessionDataKey {
  readonly applicationId: string;
}

/** Files that were stored ahead of their session. */
export interface FilesAhead {
  readonly session: KeyedSession;
  readonly files: readonly SessionFile[];
}

/** Takes inline files out of checks, and stores them. */
export interface FileTaker {
  /** For each document's checks: the same without their files, or what is wrong with one of them. */
  takeFiles(
    documents: readonly { readonly session: KeyedSession; readonly checks: readonly CheckParts[] }[],
  ): Promise<
    readonly (
      | { readonly checks: CheckParts[]; readonly files: readonly SessionFile[] }
      | { readonly problem: string }
    )[]
  >;
}

/** The files of a session that can be read, for links to them. */
export interface ReadableMedia {
  readonly mediaIds: readonly string[];
  /** `handoff_now()` of the read, Unix seconds. */
  readonly nowSeconds: number;
}
