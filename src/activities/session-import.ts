import { endImport, takePartIn } from '../sharing/import-file.ts';
import type { FileTaker, HandoffTransaction } from '../sharing/ports.ts';
import type { SessionImportActivities } from '../workflows/activity-types.ts';
import { translating } from './translate-failure.ts';

/** What the steps of an import need. */
export interface SessionImportDependencies {
  /** Runs `work` in one transaction of an import. */
  importTransaction<T>(work: (tx: HandoffTransaction) => Promise<T>): Promise<T>;
  readonly files: FileTaker;
  /** Told of a failure: Temporal keeps its kind alone. */
  readonly onFault: (activity: string, error: unknown) => void;
}

/** The steps of an import, for the onboarding worker. */
export function sessionImportActivities(deps: SessionImportDependencies): SessionImportActivities {
  return translating<SessionImportActivities>(
    {
      importPart: ({ importId, part }) => deps.importTransaction((tx) => takePartIn(tx, importId, part, deps.files)),
      endImport: ({ importId, as, why }) => deps.importTransaction((tx) => endImport(tx, importId, as, why)),
    },
    deps.onFault,
  );
}
