import { closeSync, existsSync, openSync, rmSync } from 'node:fs';

/**
 * Whether a long command will be able to write its report: at the end would be too late to say so. Opens the file for
 * writing, and leaves no new one behind.
 *
 * @returns why not, in one sentence, or nothing
 */
export function whyUnwritable(file: string): string[] {
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (isNew) rmSync(file);
    return [];
  } catch (error) {
    return [`--json names a file that cannot be written: ${(error as Error).message}`];
  }
}
