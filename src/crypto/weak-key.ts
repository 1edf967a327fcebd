import { KeyObject } from 'node:crypto';
import { MAKE_A_KEY, type KeyRing } from './key-ring.ts';

/** A key of a setting; `kid` where the setting holds several. */
interface SetKey {
  readonly setting: string;
  readonly kid: string | null;
  readonly key: Uint8Array;
}

/** Of 32 random bytes about 30 differ; fewer than 16 do once in 10^20 keys. */
const LEAST_DIFFERENT_BYTES = 16;

/**
 * What is wrong with keys besides their length: one line for each that is not random, and for each that serves twice. No
 * line holds any of a key.
 *
 * @param settings values by the name of their setting; those that are no key, ring or Ed25519 key are not looked at
 */
export function keyProblems(settings: Readonly<Record<string, unknown>>): string[] {
  const keys = Object.entries(settings).flatMap(([setting, value]): SetKey[] => {
    if (value instanceof Uint8Array) return [{ setting, kid: null, key: value }];
    if (value instanceof KeyObject) return [{ setting, kid: null, key: seedOf(value) }];
    if (!isRing(value)) return [];
    return value.kids.map((kid) => ({ setting, kid, key: value.get(kid) ?? new Uint8Array() }));
  });
  const problems: string[] = [];
  const seen = new Map<string, SetKey>();
  for (const one of keys) {
    const weakness = weaknessOf(one.key);
    if (weakness !== null) {
      problems.push(`${one.setting} holds a key${nameOf(one)} that ${weakness}: make one with ${MAKE_A_KEY}`);
      continue;
    }
    const text = Buffer.from(one.key).toString('latin1');
    const twin = seen.get(text);
    if (twin === undefined) seen.set(text, one);
    else {
      problems.push(
        `${one.setting} holds the same key${nameOf(one)} as ${twin.setting}${nameOf(twin)}: each needs one of its own, made with ${MAKE_A_KEY}`,
      );
    }
  }
  return problems;
}

/** How one can tell that a key is not random; null when one can't. */
export function weaknessOf(key: Uint8Array): string | null {
  if (key.every((byte) => byte === 0)) return 'is all zeros';
  if (new Set(key).size < LEAST_DIFFERENT_BYTES) return 'repeats few bytes';
  const half = key.length / 2;
  if (key.every((byte, at) => at < half || byte === key[at - Math.ceil(half)])) return 'says the same twice';
  const step = ((key[1] ?? 0) - (key[0] ?? 0)) & 0xff;
  if (key.every((byte, at) => at === 0 || ((byte - (key[at - 1] ?? 0)) & 0xff) === step)) return 'counts';
  if (key.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is readable text';
  return null;
}

/** The 32 bytes that an Ed25519 key is made of. */
function seedOf(key: KeyObject): Uint8Array {
  return Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');
}

function nameOf({ kid }: SetKey): string {
  return kid === null ? '' : ` (${kid})`;
}

function isRing(value: unknown): value is KeyRing {
  return typeof value === 'object' && value !== null && 'kids' in value && 'activeKid' in value && 'get' in value;
}
