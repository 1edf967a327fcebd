/**
 * Where an object lies below its store's root: `ab/cd/abcd…`, so that no folder grows without end.
 *
 * @throws {TypeError} for a key that is no SHA-256 in lower-case hexadecimal: nothing else ever names a path
 */
export function objectPath(objectKey: string): string {
  if (!/^[0-9a-f]{64}$/.test(objectKey)) throw new TypeError('an object key is a SHA-256 in hexadecimal');
  return `${objectKey.slice(0, 2)}/${objectKey.slice(2, 4)}/${objectKey}`;
}
