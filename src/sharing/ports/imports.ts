import type { ImportFailure, ImportFormat, ImportProgress, ImportType } from '../../domain/session-import.ts';
import type { WorkflowVersion } from './sessions.ts';
import type { Environment } from './storage.ts';

/** A file of sessions that was accepted. */
export interface NewImport {
  readonly importId: string;
  readonly applicationId: string;
  readonly environment: Environment;
  readonly importType: ImportType;
  readonly provider: string;
  readonly workflow: WorkflowVersion;
  readonly fileFormat: ImportFormat;
  readonly sourceFilename: Buffer | null;
  readonly totalRows: number;
  readonly totalBytes: number;
  /** Id of the API key. */
  readonly createdBy: string;
  /** Each a sealed `FilePart`, in the file's order. */
  readonly parts: readonly Buffer[];
}

/** What a part is taken in by. */
export interface ImportJob {
  readonly applicationId: string;
  readonly environment: Environment;
  readonly importType: ImportType;
  /** That its sessions belong to. */
  readonly workflow: WorkflowVersion;
  readonly progress: ImportProgress;
}

/** What a part came to. */
export interface PartOutcome {
  readonly created: number;
  readonly skipped: number;
  /** Of the files that its sessions were given. */
  readonly mediaBytes: number;
  readonly errors: readonly { readonly row: number; readonly payload: Buffer }[];
  /** Row number of its last row. */
  readonly lastRow: number;
}

export interface ImportStore {
  insert(job: NewImport): void;
  /** How an import stands now; whoever goes by it looks again under the lock. */
  look(importId: string): Promise<ImportJob | null>;
  /** Locks the row of an import, of this application if one is named: whoever changes the import does so first. */
  lock(importId: string, applicationId?: string): Promise<ImportJob | null>;
  /** A part, still sealed; `null` when it was taken in. */
  readPart(importId: string, position: number): Promise<Buffer | null>;
  /** Counts a part in and takes its bytes away; the last one completes the import. Of a locked import only. */
  finishPart(importId: string, applicationId: string, position: number, outcome: PartOutcome): Promise<ImportProgress>;
  /** Ends an open import that is locked, and takes the rest of its file away. */
  end(importId: string, applicationId: string, as: 'failed' | 'cancelled', why: ImportFailure): Promise<ImportProgress>;
}
