import type { CheckParts } from '../domain/decision-parts.ts';
import type { DecisionProblem } from '../domain/decision-intake.ts';
import { isMediaReference, mediaReference, replaceMedia } from '../domain/media-references.ts';
import { FILE_TYPES, fileProblem, fileTypeOf, MAX_MEDIA_BYTES, type FileType, type NewFile } from './file-types.ts';

/** Checks whose inline files were taken out, the files, and what was wrong with any. */
export interface TakenFiles<Check> {
  readonly checks: Check[];
  readonly files: NewFile[];
  readonly problems: DecisionProblem[];
}

/**
 * Takes `data:` URIs out of the media fields of checks: each leaves a reference behind. Other texts, such as links, stay as
 * they are. Our own references are refused: nobody reads a file by naming its id.
 */
export function takeOutFiles<Check extends Pick<CheckParts, 'category' | 'position' | 'shared'>>(
  checks: readonly Check[],
  newId: () => string,
): TakenFiles<Check> {
  const files: NewFile[] = [];
  const problems: DecisionProblem[] = [];
  const taken = replaceMedia(checks, (text, field) => {
    if (isMediaReference(text)) {
      problems.push({ field, message: 'A reference is for our own use: send the file itself, or a link to it.' });
    }
    if (!/^data:/i.test(text)) return text;
    const read = readDataUri(text);
    if ('problem' in read) {
      problems.push({ field, message: read.problem });
      return null;
    }
    const mediaId = newId();
    files.push({ mediaId, ...read });
    return mediaReference(mediaId);
  });
  return { checks: taken, files, problems };
}

/** The file in a `data:` URI, or a sentence that says what is wrong with it. */
export function readDataUri(uri: string): { contentType: FileType; bytes: Buffer } | { problem: string } {
  const comma = uri.indexOf(',');
  const head = comma === -1 ? '' : uri.slice('data:'.length, comma);
  if (!/;base64$/i.test(head)) return { problem: 'Write a file as data:<media type>;base64,<its bytes>.' };
  const contentType = fileTypeOf(head);
  if (contentType === null) return { problem: `This type is not accepted: send ${FILE_TYPES.join(', ')}.` };
  const text = uri.slice(comma + 1);
  if (text.length > Math.ceil(MAX_MEDIA_BYTES / 3) * 4) return { problem: 'File size exceeds 10 MiB.' };
  const bytes = Buffer.from(text, 'base64');
  // Node skips what is no base64, and takes other alphabets: only the one right text comes back the same.
  if (bytes.toString('base64') !== text) {
    return { problem: 'The base64 is not valid: use the standard alphabet with padding, and no spaces.' };
  }
  const problem = fileProblem(contentType, bytes);
  return problem === null ? { contentType, bytes } : { problem };
}
