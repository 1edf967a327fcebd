import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import {
  readShareToken,
  ShareTokenInvalid,
  signShareToken,
  type ShareTokenClaims,
} from '../../src/crypto/share-token.ts';

/** What came of texts that were made from real tokens by somebody without the key. */
export interface Forgeries {
  /** That were read: parts that happen to belong together, and spare bits say what was signed. */
  readonly accepted: number;
  /** Those of them that say anything else. None may. */
  readonly falsely: readonly string[];
}

const RING = parseKeyRing(
  [7, 8].map((byte) => `key-${byte}:${Buffer.alloc(32, byte).toString('base64url')}`).join(','),
);
const IDS = Array.from({ length: 8 }, (_, n) => `0193a5f0-0000-7000-8000-00000000000${n}`);
const CHARACTERS = 'ABCyz019-_.=+/ \n\0é"{'.split('');
const SECRETS = ['', 'secret', Buffer.alloc(32), Buffer.alloc(32, 9)];
const BATCH = 100;

/**
 * Forges share tokens and has them read: edited, put together from several, with other claims, signed with other keys.
 *
 * @param read what reads a token, default the service's own
 * @throws what is no `ShareTokenInvalid`
 */
export async function tryForgeries(
  count: number,
  seed: number,
  read: (token: string) => Promise<{ readonly claims: ShareTokenClaims }> = (token) => readShareToken(RING, token),
): Promise<Forgeries> {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const signed = new Map<string, ShareTokenClaims>();
  while (signed.size < 20) {
    const claims = claimsOf(pick);
    signed.set(await signShareToken(RING, pick(RING.kids), claims), claims);
  }
  const tokens = [...signed.keys()];
  const ways = waysToForge(tokens, random, pick);
  let accepted = 0;
  const falsely: string[] = [];
  for (let done = 0; done < count; done += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, count - done) }, () => pick(ways)(pick(tokens)));
    const outcomes = await Promise.allSettled(batch.map((token) => read(token)));
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') {
        if (!(outcome.reason instanceof ShareTokenInvalid)) throw outcome.reason;
        continue;
      }
      accepted += 1;
      const { claims } = outcome.value;
      if (![...signed.values()].some((some) => isDeepStrictEqual(some, claims))) falsely.push(batch[at] ?? '');
    }
  }
  return { accepted, falsely };
}

type Picking = <T>(from: readonly T[]) => T;

function claimsOf(pick: Picking): ShareTokenClaims {
  return {
    session_id: IDS[1] ?? '',
    session_kind: 'business',
    from_application_id: pick(IDS),
    for_application_id: pick(IDS),
    iat: 1_600_000_000,
    exp: 1_600_003_600,
    jti: pick(IDS),
  };
}

function waysToForge(tokens: readonly string[], random: () => number, pick: Picking): ((token: string) => string)[] {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const otherClaims = (text: string) => {
    const said = JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
    const name = pick(['session_id', 'from_application_id', 'for_application_id', 'jti', 'exp', 'iat', 'more']);
    return { ...said, [name]: name.endsWith('id') || name === 'jti' ? pick(IDS) : pick([0, 1.6e9, '1', null, 9e9]) };
  };
  return [
    (token) => edited(token, random, pick(CHARACTERS)),
    (token) => edited(edited(token, random, pick(CHARACTERS)), random, pick(CHARACTERS)),
    // Parts of several tokens.
    (token) => [token, pick(tokens), pick(tokens)].map((one, at) => one.split('.')[at]).join('.'),
    // Other claims under a signature that was right for these.
    (token) => {
      const [head = '', body = '', signature = ''] = token.split('.');
      return `${head}.${encode(otherClaims(body))}.${signature}`;
    },
    // Other claims, signed by whoever has a key of their own.
    (token) => {
      const [head = '', body = ''] = token.split('.');
      const input = `${head}.${encode(otherClaims(body))}`;
      return `${input}.${createHmac('sha256', pick(SECRETS)).update(input).digest('base64url')}`;
    },
  ];
}

/** The same numbers for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A text with one character replaced, added, taken away or changed by a bit. */
function edited(text: string, random: () => number, character: string): string {
  const at = Math.floor(random() * (text.length + 1));
  switch (Math.floor(random() * 4)) {
    case 0:
      return text.slice(0, at) + character + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + character + text.slice(at);
    case 2:
      return text.slice(0, at) + text.slice(at + 1);
    default:
      return text.slice(0, at) + String.fromCharCode((text.charCodeAt(at) || 0) ^ 1) + text.slice(at + 1);
  }
}
