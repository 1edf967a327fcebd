import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';

/** A place in a body that other languages would serialise otherwise. The pointer (RFC 6901) may hold free keys: don't log it. */
export type CanonicalProblem = { pointer: string; reason: string };

/** The deepest nesting of arrays and objects that the safe profile takes: well inside every receiver's parser. */
export const MAX_CANONICAL_DEPTH = 64;

const SAFE_KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/;
// With the u flag a surrogate pair is one code point, so this finds lone ones only.
const LONE_SURROGATE = /\p{Surrogate}/u;
const SMALLEST_DECIMAL = 1e-4;

function problemOfNumber(value: number): string | null {
  if (!Number.isFinite(value)) return 'is not a finite number: JSON can not state it';
  if (Number.isInteger(value)) {
    return Number.isSafeInteger(value) ? null : 'is an integer beyond ±(2^53-1): send it as a string';
  }
  return Math.abs(value) < SMALLEST_DECIMAL ? 'is a decimal smaller than 0.0001 in size: send it as a string' : null;
}

function problemOfKey(key: string): string | null {
  if (key === '__proto__') return 'is named __proto__, which some receivers lose: rename the key';
  return SAFE_KEY.test(key) ? null : 'has a key outside [A-Za-z_][A-Za-z0-9_-]*: rename the key';
}

function step(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function findProblem(value: JsonValue, pointer: string, depth: number): CanonicalProblem | null {
  if (value === null || typeof value === 'boolean') return null;
  if (typeof value === 'string') {
    return LONE_SURROGATE.test(value) ? { pointer, reason: 'holds half of a surrogate pair: mend the text' } : null;
  }
  if (typeof value === 'number') {
    const reason = problemOfNumber(value);
    return reason === null ? null : { pointer, reason };
  }
  if (depth >= MAX_CANONICAL_DEPTH) {
    return { pointer, reason: `is nested deeper than ${MAX_CANONICAL_DEPTH} levels: flatten it` };
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const problem = findProblem(item, step(pointer, index), depth + 1);
      if (problem !== null) return problem;
    }
    return null;
  }
  if (!isJsonObject(value)) return { pointer, reason: 'is not a JSON value: leave it out' };
  for (const [key, member] of Object.entries(value)) {
    const at = step(pointer, key);
    const reason = problemOfKey(key);
    if (reason !== null) return { pointer: at, reason };
    const problem = findProblem(member, at, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

/**
 * The first place, in document order, that JavaScript and Python receivers would serialise differently, or null when the
 * value is inside the safe profile: keys `[A-Za-z_][A-Za-z0-9_-]*` but `__proto__`, integers within ±(2^53-1), decimals of
 * at least 1e-4 in size, well-formed text, at most {@link MAX_CANONICAL_DEPTH} levels.
 */
export function canonicalProblem(value: JsonValue): CanonicalProblem | null {
  return findProblem(value, '', 0);
}

/**
 * The body that every webhook is sent as: keys sorted by code unit at every level, compact, whole floats as integers,
 * non-ASCII as literal UTF-8. A receiver gets the same text whether it hashes the bytes or parses and re-serialises them,
 * provided that {@link canonicalProblem} finds nothing: ask it first.
 */
export function canonicalJson(value: JsonValue): string {
  return reordered(value) ?? JSON.stringify(value);
}

/**
 * Canonical text of a value; null when its keys are in order already, so that `JSON.stringify`, which is several times
 * faster than any writer of ours, writes the same. Looks at each member once.
 */
function reordered(value: JsonValue): string | null {
  if (Array.isArray(value)) return reorderedArray(value);
  return isJsonObject(value) ? reorderedObject(value) : null;
}

function reorderedArray(items: readonly JsonValue[]): string | null {
  let texts: Map<number, string> | null = null;
  for (let index = 0; index < items.length; index += 1) {
    const text = reordered(items[index] ?? null);
    if (text !== null) (texts ??= new Map()).set(index, text);
  }
  if (texts === null) return null;
  return `[${items.map((item, index) => texts.get(index) ?? JSON.stringify(item)).join(',')}]`;
}

function reorderedObject(object: JsonObject): string | null {
  let texts: Map<string, string> | null = null;
  let inOrder = true;
  let last = '';
  const keys = Object.keys(object);
  for (const key of keys) {
    inOrder &&= last <= key;
    last = key;
    const text = reordered(object[key] ?? null);
    if (text !== null) (texts ??= new Map()).set(key, text);
  }
  if (inOrder && texts === null) return null;
  const members = keys.sort().map((key) => `${JSON.stringify(key)}:${texts?.get(key) ?? JSON.stringify(object[key])}`);
  return `{${members.join(',')}}`;
}
