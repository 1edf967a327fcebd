const PLAIN = Buffer.of(0x00);

/** A stored object can't be opened. The message names the version, never the content. */
export class FileUnreadable extends Error {
  override readonly name = 'FileUnreadable';
}

/**
 * The bytes that are stored for a file. Like a payload's, the first one names the version: 0x00 is the file as it is, and a
 * later one (encryption) needs no change in callers. The object's key is the hash of what this returns.
 */
export function sealFile(bytes: Uint8Array): Buffer {
  return Buffer.concat([PLAIN, bytes]);
}

/** The file again. @throws {FileUnreadable} */
export function openFile(stored: Buffer): Buffer {
  if (stored[0] === PLAIN[0]) return stored.subarray(1);
  const version = stored[0] === undefined ? 'no version' : `version 0x${stored[0].toString(16).padStart(2, '0')}`;
  throw new FileUnreadable(`stored file of ${version}, unknown here: run a release that knows it`);
}
