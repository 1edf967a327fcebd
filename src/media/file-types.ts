/** What files may be, with the ending of their name when they are saved. */
export const FILE_ENDINGS = {
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/webp': 'webp',
  'image/tiff': 'tiff',
  'application/pdf': 'pdf',
  'video/mp4': 'mp4',
  'video/quicktime': 'mov',
  'video/webm': 'webm',
} as const;
export type FileType = keyof typeof FILE_ENDINGS;
export const FILE_TYPES = Object.keys(FILE_ENDINGS) as FileType[];

/** A file of a session holds no more bytes than this, however it comes: 10 MiB. */
export const MAX_MEDIA_BYTES = 10 * 1024 * 1024;

/** A file that is to be stored. */
export interface NewFile {
  /** UUID: how its session's payload names it. */
  readonly mediaId: string;
  readonly contentType: FileType;
  readonly bytes: Uint8Array;
}

/** The type that a Content-Type header or a `data:` URI names, without parameters; null when it is none of ours. */
export function fileTypeOf(text: string): FileType | null {
  const name = (text.split(';', 1)[0] ?? '').trim().toLowerCase();
  // Written so by many clients; registered is the other.
  const registered = name === 'image/jpg' ? 'image/jpeg' : name;
  return FILE_TYPES.find((type) => type === registered) ?? null;
}

const MP4_BRANDS = /^(isom|iso[2-9]|mp4[12]|avc1|M4V |dash|MSNV|mmp4|3g[p2][4-9a-e])$/;

/** What bytes are, by how they begin; null when they are none of our types. */
export function sniffFileType(bytes: Uint8Array): FileType | null {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16)).toString('latin1');
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP') return 'image/webp';
  if (head.startsWith('II*\0') || head.startsWith('MM\0*')) return 'image/tiff';
  if (head.startsWith('%PDF-')) return 'application/pdf';
  if (head.startsWith('\x1a\x45\xdf\xa3')) return 'video/webm';
  if (head.slice(4, 8) !== 'ftyp') return null;
  const brand = head.slice(8, 12);
  if (brand === 'qt  ') return 'video/quicktime';
  return MP4_BRANDS.test(brand) ? 'video/mp4' : null;
}

/** Why bytes cannot be stored as this type, as a sentence for the sender; null when they can. */
export function fileProblem(type: FileType, bytes: Uint8Array): string | null {
  if (bytes.length === 0) return 'The file is empty.';
  if (bytes.length > MAX_MEDIA_BYTES) return 'File size exceeds 10 MiB.';
  const found = sniffFileType(bytes);
  if (found === type) return null;
  return `The bytes are ${found === null ? 'no file of a type that is accepted' : found}, not ${type} as stated.`;
}
