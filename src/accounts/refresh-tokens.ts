import { createHash, randomBytes } from 'node:crypto';

/** A new refresh token: its text is shown once, its hash is stored. */
export function newRefreshToken(): { readonly text: string; readonly sha256: Buffer } {
  const text = `hnr_${randomBytes(32).toString('base64url')}`;
  return { text, sha256: refreshTokenDigest(text) };
}

/** What is stored of a refresh token: it has 256 random bits and so needs no slow hash. */
export function refreshTokenDigest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
