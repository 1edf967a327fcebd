import { newId } from '../postgres/new-id.ts';
import type { FileTaker } from '../sharing/ports.ts';
import { takeOutFiles } from './inline-files.ts';
import { storeFiles, type FileKeeper } from './store-files.ts';

/** Takes files out of many documents at once: one look at the store for all of them. */
export function fileTaker(keeper: FileKeeper): FileTaker {
  return {
    takeFiles: async (documents) => {
      const taken = documents.map(({ session, checks }) => ({ session, ...takeOutFiles(checks, newId) }));
      const wanted = taken.flatMap(({ session, files, problems }) =>
        problems.length === 0 ? files.map((file) => ({ ...file, session })) : [],
      );
      const stored = new Map((await storeFiles(keeper, wanted)).map((file) => [file.mediaId, file]));
      return taken.map(({ checks, files, problems: [problem] }) =>
        problem === undefined
          ? { checks, files: files.flatMap(({ mediaId }) => stored.get(mediaId) ?? []) }
          : { problem: `${problem.field}: ${problem.message}` },
      );
    },
  };
}
