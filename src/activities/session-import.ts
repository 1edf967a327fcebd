import { heartbeat } from '@temporalio/activity';
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

/** Well below the time without one after which a worker counts as dead. */
const HEARTBEAT_MS = 2_000;

/** The steps of an import, for the onboarding worker. */
export function sessionImportActivities(deps: SessionImportDependencies): SessionImportActivities {
  return translating<SessionImportActivities>(
    {
      importPart: ({ importId, part }) =>
        whileBeating(() => takePartIn((work) => deps.importTransaction(work), importId, part, deps.files)),
      endImport: ({ importId, as, why }) =>
        deps.importTransaction((tx) => endImport(tx, importId, as, why, { kind: 'session_import', id: importId })),
    },
    deps.onFault,
  );
}

async function whileBeating<T>(work: () => Promise<T>): Promise<T> {
  heartbeat();
  const beat = setInterval(() => heartbeat(), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}
