import { SANDBOX_IMAGES } from '../domain/sandbox/images.ts';
import { newId } from '../postgres/new-id.ts';
import type { SandboxFiles } from '../sharing/simulate.ts';
import type { NewFile } from './file-types.ts';
import { readDataUri } from './inline-files.ts';
import { storeFiles, type FileKeeper } from './store-files.ts';

const IMAGES: readonly string[] = Object.values(SANDBOX_IMAGES);

/**
 * Stores the sandbox's drawings, ahead of the transaction that gives them to a session. They are the same few objects each
 * time; what is stored and not used within the hour is taken away, so they are put again for each simulation.
 *
 * @throws {MediaStoreUnavailable} when the store does not answer
 */
export async function storeSandboxFiles(keeper: FileKeeper): Promise<SandboxFiles> {
  const stored = await storeFiles(keeper, IMAGES.map(fileOf));
  return new Map(stored.map((file, index) => [IMAGES[index] ?? '', file]));
}

function fileOf(image: string): NewFile {
  const read = readDataUri(image);
  if ('problem' in read) throw new Error(`a drawing of the sandbox is no file: ${read.problem}`);
  return { mediaId: newId(), ...read };
}
