import type { JsonValue } from './json.ts';

/**
 * Finds a value that Postgres or another reader could not hold: NUL or half a surrogate pair in a text or a key, a number
 * that JavaScript reads as infinite, or the key `__proto__`.
 *
 * @returns what is wrong and how to mend it, or `null`
 */
export function unstorable(value: JsonValue): string | null {
  // A list, not recursion: values nest as deep as their size allows.
  const left: JsonValue[] = [value];
  while (left.length > 0) {
    const one = left.pop() ?? null;
    if (typeof one === 'string' && isBadText(one)) return 'It holds NUL or half a surrogate pair: remove it.';
    if (typeof one === 'number' && !Number.isFinite(one))
      return 'It holds a number beyond all bounds: send it as text.';
    if (typeof one !== 'object' || one === null) continue;
    for (const [key, inner] of Object.entries(one)) {
      if (isBadText(key)) return 'It has a key with NUL or half a surrogate pair: rename it.';
      if (key === '__proto__') return 'It has a key __proto__: rename it.';
      left.push(inner);
    }
  }
  return null;
}

function isBadText(text: string): boolean {
  return text.includes('\0') || !text.isWellFormed();
}
