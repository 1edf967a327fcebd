import { z } from 'zod';
import { sniffFileType } from '../../media/file-types.ts';

const MAX_BYTES = 2 * 1024 * 1024;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const NO_IMAGE = 'Must be a JPEG, PNG, WebP or TIFF image, in base64.';

/** A portrait in base64, at most 2 MB of it: its form is checked by how it begins. */
export const portraitImage = z
  .string('Not a valid string.')
  .refine((text) => text.length * 0.75 <= MAX_BYTES + 2, { error: 'Image size exceeds 2MB.', abort: true })
  .refine(isImage, NO_IMAGE);

function isImage(text: string): boolean {
  if (text.length % 4 !== 0 || !BASE64.test(text)) return false;
  return sniffFileType(Buffer.from(text.slice(0, 24), 'base64'))?.startsWith('image/') === true;
}
