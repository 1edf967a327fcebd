/** What a reading came to: a value, or where and of what sort its first problem is. */
export type NaiveReading = { readonly value: unknown } | { readonly problem: string; readonly place: string };

class Problem extends Error {
  readonly place: readonly string[];
  constructor(problem: string, place: readonly string[]) {
    super(problem);
    this.place = place;
  }
}

/**
 * Reads JSON by the letter of RFC 8259, one character after the other, and refuses what RFC 7493 advises against. As plain
 * as can be, to hold a fast reader against.
 */
export function naiveReading(text: string, maxDepth: number): NaiveReading {
  let at = 0;

  function fail(problem = 'syntax', place: readonly string[] = []): never {
    throw new Problem(problem, place);
  }
  function space(): void {
    while (at < text.length && ' \t\n\r'.includes(text.charAt(at))) at += 1;
  }
  function take(expected: string): void {
    if (!text.startsWith(expected, at)) fail();
    at += expected.length;
  }

  function string(): string {
    take('"');
    let made = '';
    for (;;) {
      const character = text.charAt(at);
      if (character === '' || character < ' ') fail();
      at += 1;
      if (character === '"') return made;
      if (character !== '\\') {
        made += character;
        continue;
      }
      const escape = text.charAt(at);
      at += 1;
      if (escape === 'u') {
        const hex = text.slice(at, at + 4);
        if (!/^[\da-fA-F]{4}$/.test(hex)) fail();
        made += String.fromCharCode(Number.parseInt(hex, 16));
        at += 4;
      } else {
        const index = '"\\/bfnrt'.indexOf(escape);
        if (escape === '' || index === -1) fail();
        made += '"\\/\b\f\n\r\t'.charAt(index);
      }
    }
  }

  function number(place: readonly string[]): number {
    const found = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/.exec(text.slice(at, at + 2_000))?.[0] ?? fail();
    at += found.length;
    const value = Number(found);
    const isWhole = /^-?[0-9]+$/.test(found);
    if (isWhole && (BigInt(found) > 2n ** 53n - 1n || BigInt(found) < -(2n ** 53n - 1n))) fail('number', place);
    const digits = found.split(/[eE]/)[0] ?? '';
    if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(digits))) fail('number', place);
    if (!isWhole && Math.abs(value) >= 2 ** 53 && !isSame(found, JSON.stringify(value))) fail('number', place);
    return value;
  }

  /** Whether two decimals are the same number: both as whole ones, of as many digits behind the point as either has. */
  function isSame(one: string, other: string): boolean {
    const scaled = (decimal: string): bigint => {
      const [digits = '', exponent = '0'] = decimal.split(/[eE]/);
      const [whole = '', fraction = ''] = digits.split('.');
      return BigInt(whole + fraction) * 10n ** BigInt(2_000 + Number(exponent) - fraction.length);
    };
    return scaled(one) === scaled(other);
  }

  function isBad(read: string): boolean {
    return /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(read);
  }

  function value(place: readonly string[], path: readonly string[]): unknown {
    space();
    const first = text.charAt(at);
    if (first === '{' || first === '[') {
      if (place.length >= maxDepth) fail('depth', place.slice(0, 1));
      return first === '{' ? object(place, path) : array(place, path);
    }
    if (first === '"') {
      const read = string();
      return isBad(read) ? fail('text', place) : read;
    }
    for (const [word, meant] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (!text.startsWith(word, at)) continue;
      at += word.length;
      return meant;
    }
    return number(place);
  }

  function object(place: readonly string[], path: readonly string[]): unknown {
    take('{');
    const made = new Map<string, unknown>();
    space();
    if (text.charAt(at) === '}') {
      at += 1;
      return {};
    }
    for (;;) {
      space();
      const key = string();
      if (isBad(key) || key === '__proto__') fail('key', place);
      if (key === 'prototype' && path.at(-1) === 'constructor') fail('key', place);
      if (made.has(key)) fail('twice', [...place, key]);
      space();
      take(':');
      made.set(key, value([...place, key], [...path, key]));
      space();
      if (text.charAt(at) === '}') break;
      take(',');
    }
    at += 1;
    return Object.fromEntries(made);
  }

  function array(place: readonly string[], path: readonly string[]): unknown {
    take('[');
    const made: unknown[] = [];
    space();
    if (text.charAt(at) === ']') {
      at += 1;
      return made;
    }
    for (;;) {
      // An array between hides the key above it.
      made.push(value([...place, String(made.length)], [...path, '']));
      space();
      if (text.charAt(at) === ']') break;
      take(',');
    }
    at += 1;
    return made;
  }

  try {
    const made = value([], []);
    space();
    return at === text.length ? { value: made } : fail();
  } catch (error) {
    if (error instanceof Problem) return { problem: error.message, place: error.place.join('.') };
    throw error;
  }
}
