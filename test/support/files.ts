import { randomBytes } from 'node:crypto';
import type { FileType } from '../../src/media/file-types.ts';

const HEADS: Readonly<Record<FileType, Buffer>> = {
  'image/jpeg': Buffer.from('ffd8ffe000104a46494600', 'hex'),
  'image/png': Buffer.from('89504e470d0a1a0a0000000d', 'hex'),
  'image/webp': Buffer.from('RIFF\x24\0\0\0WEBPVP8 ', 'latin1'),
  'image/tiff': Buffer.from('II*\0\x08\0\0\0', 'latin1'),
  'application/pdf': Buffer.from('%PDF-1.7\n', 'latin1'),
  'video/mp4': Buffer.from('\0\0\0\x20ftypisom\0\0\x02\0', 'latin1'),
  'video/quicktime': Buffer.from('\0\0\0\x14ftypqt  \0\0\0\0', 'latin1'),
  'video/webm': Buffer.from('1a45dfa301000000', 'hex'),
};

/** A file that nobody else has, of this type as far as its beginning tells. */
export function someFile(type: FileType, bytes = 64): Buffer {
  return Buffer.concat([HEADS[type], randomBytes(bytes)]);
}

/** A file as documents carry it. */
export function dataUri(type: FileType, bytes: Buffer): string {
  return `data:${type};base64,${bytes.toString('base64')}`;
}
