import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { canonicalJson, canonicalProblem, MAX_CANONICAL_DEPTH } from '../../src/crypto/canonical-json.ts';
import { isJsonObject, type JsonValue } from '../../src/domain/json.ts';
import { canonicalObject } from '../support/canonical-arbitrary.ts';

/** The form's own definition: each member by itself, sorted. */
function byDefinition(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(byDefinition).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${byDefinition(member)}`).join(',')}}`;
}

const nested = (levels: number): JsonValue => (levels === 0 ? 1 : [nested(levels - 1)]);

describe('canonicalJson', () => {
  test('sorts keys at every level, keeps arrays in order and writes no space', () => {
    expect(canonicalJson({ b: [3, { z: 1, a: 2 }, 1], a: { d: null, c: true } })).toBe(
      '{"a":{"c":true,"d":null},"b":[3,{"a":2,"z":1},1]}',
    );
  });

  test('shortens floats and leaves text as literal UTF-8', () => {
    expect(canonicalJson([30.0, 99.5, -0, 'ë 日本 😀 \u2028 \u007f', 'a"\\\n\u0001'])).toBe(
      '[30,99.5,0,"ë 日本 😀 \u2028 \u007f","a\\"\\\\\\n\\u0001"]',
    );
  });

  test('sorts by code unit, also keys that JavaScript objects put in another order', () => {
    expect(canonicalJson({ '9': 1, '10': 2, b: 3, B: 4, _: 5 })).toBe('{"10":2,"9":1,"B":4,"_":5,"b":3}');
  });

  test('keeps a key named __proto__', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"x":1},"a":2}') as JsonValue)).toBe('{"__proto__":{"x":1},"a":2}');
  });

  test('is what its definition says, of any JSON, in order already or not', () => {
    const anyJson = fc.json().map((text) => JSON.parse(text) as JsonValue);
    const odd = fc.constantFrom<JsonValue[]>(-0, 1e21, 1e-7, 2 ** 53, 0.1, '\ud800', '\u2028"\\', '', { b: 1, a: [] });
    const key = fc.constantFrom('a', 'b', 'aa', 'a_', 'a-', 'A', '_', '10', '9', '__proto__', '', 'ë', 'a"', '\ud800');
    const { tree } = fc.letrec<{ tree: JsonValue }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        odd,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.array(fc.tuple(key, tie('tree')), { maxLength: 5 }).map((members) => Object.fromEntries(members)),
      ),
    }));
    let inOrder = 0;
    let reordered = 0;
    fc.assert(
      fc.property(fc.oneof(anyJson, tree, canonicalObject), (value) => {
        const text = canonicalJson(value);
        expect(text).toBe(byDefinition(value));
        const again = JSON.parse(text) as JsonValue;
        expect(canonicalJson(again)).toBe(byDefinition(again));
        if (text === JSON.stringify(value)) inOrder += 1;
        else reordered += 1;
      }),
      { numRuns: 1_000 },
    );
    expect(Math.min(inOrder, reordered)).toBeGreaterThan(50);
  });

  test('parses back to what it was made from, and is the same whatever the order of keys', () => {
    fc.assert(
      fc.property(canonicalObject, (value) => {
        const text = canonicalJson(value);
        const parsed = JSON.parse(text) as JsonValue;
        expect(canonicalJson(Object.fromEntries(Object.entries(value).toReversed()))).toBe(text);
        expect(canonicalJson(parsed)).toBe(text);
        expect(parsed).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('canonicalProblem', () => {
  test('finds nothing inside the profile', () => {
    fc.assert(fc.property(canonicalObject, (value) => canonicalProblem(value) === null));
    const edges: JsonValue[] = [0, -0, 1e-4, -1e-4, 2 ** 53 - 1, 4_503_599_627_370_495.5, 'ok 😀', {}, [], null, true];
    expect(canonicalProblem(edges)).toBeNull();
    expect(canonicalProblem(nested(MAX_CANONICAL_DEPTH))).toBeNull();
  });

  test.each<[string, JsonValue, string, RegExp]>([
    ['an integer-like key', { a: [{ '10': 1 }] }, '/a/0/10', /key outside/],
    ['an empty key', { '': 1 }, '/', /key outside/],
    ['a key with a slash and a tilde', { 'a/b~c': 1 }, '/a~1b~0c', /key outside/],
    ['a non-ASCII key', { ë: 1 }, '/ë', /key outside/],
    ['__proto__', JSON.parse('{"__proto__":1}') as JsonValue, '/__proto__', /__proto__/],
    ['an integer of 2^53', { n: 2 ** 53 }, '/n', /2\^53-1/],
    ['an integer of -2^53', { n: -(2 ** 53) }, '/n', /2\^53-1/],
    ['a whole number with an exponent', { n: 1e21 }, '/n', /2\^53-1/],
    ['a small decimal', { n: 0.00001 }, '/n', /0\.0001/],
    ['a small negative decimal', { n: -9.9e-5 }, '/n', /0\.0001/],
    ['NaN', { n: Number.NaN }, '/n', /finite/],
    ['half a surrogate pair', ['fine', 'x\ud800y'], '/1', /surrogate/],
    ['deep nesting', nested(MAX_CANONICAL_DEPTH + 1), '/0'.repeat(MAX_CANONICAL_DEPTH), /deeper/],
  ])('names the place of %s', (_name, value, pointer, reason) => {
    expect(canonicalProblem(value)).toEqual({ pointer, reason: expect.stringMatching(reason) });
  });

  test('names the first place of several', () => {
    expect(canonicalProblem({ a: { b: 1e-9 }, 'c d': 1 })?.pointer).toBe('/a/b');
  });

  test('does not overflow the stack on nesting made to do so', () => {
    expect(canonicalProblem(JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as JsonValue)).not.toBeNull();
  });
});
