import { createHash, randomBytes } from 'node:crypto';

/** The token of a hosted flow: who holds its text may act in that one session. */
export interface HostedToken {
  /** 12 URL-safe characters, 72 random bits. */
  readonly text: string;
  /** What it is found by. */
  readonly sha256: Buffer;
}

/** Makes a token. */
export function newHostedToken(): HostedToken {
  const text = randomBytes(9).toString('base64url');
  return { text, sha256: hostedTokenDigest(text) };
}

/** What a token's text is found by. */
export function hostedTokenDigest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
