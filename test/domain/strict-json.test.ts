import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, problemLine, readJson } from '../../src/domain/strict-json.ts';
import { naiveReading } from '../support/naive-json.ts';

/** Sort and place of a text's problem, as the reference names them; null when it has none. */
function problemOf(text: string): { problem: string; place: string } | null {
  const reading = readJson(text);
  if (reading.ok) return null;
  const { place, sentence } = reading.problem;
  const sorts: readonly (readonly [RegExp, string])[] = [
    [/not JSON/, 'syntax'],
    [/deeper/, 'depth'],
    [/has (a|the) key/, 'key'],
    [/number/, 'number'],
    [/twice/, 'twice'],
    [/NUL/, 'text'],
  ];
  const problem = sorts.find(([words]) => words.test(sentence))?.[1] ?? sentence;
  return { problem, place: place.join('.') };
}

const word = fc.oneof(
  fc.constantFrom(
    '"a"',
    '"\\u0061"',
    '"b"',
    '""',
    '"\\"a"',
    '"\\\\"',
    '"__proto__"',
    '"\\u005f_proto__"',
    '"constructor"',
    '"prototype"',
    '"10"',
    '":"',
    '"{"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\\\u0000"',
    '"\\\\\\u0000"',
    '"\ud83d"',
    '"\u2028"',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }).map((text) => JSON.stringify(text)),
);
const number = fc.oneof(
  fc.constantFrom('0', '-0', '-0.0e0', '1e400', '-1e999', '1e-400', '0e999', '0.0e-999', '9007199254740991'),
  fc.constantFrom('9007199254740992', '-9007199254740991', '-9007199254740993', '12345678901234567890', '1e21', '1E+5'),
  fc.constantFrom(
    '12345678901234567890.0',
    '0.1234567890123456789',
    '1e308',
    '2e308',
    `0.${'0'.repeat(330)}1`,
    '01',
    '1.',
  ),
  fc.constantFrom('9'.repeat(400), `${'9'.repeat(400)}.5`, '-', '+1', '.5', '1e', 'NaN', 'Infinity'),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map(String),
  fc
    .tuple(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }), fc.constantFrom('.0', '.50', 'e0', 'e3', '.00E+20'))
    .map(([whole, rest]) => `${whole}${rest}`),
);
const space = fc.constantFrom('', '', '', ' ', '\n\t\r ');

/** Texts that are JSON more often than not, and hold what the strict reader is for. */
const text: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc
    .tuple(
      space,
      fc.oneof(
        { depthSize: 'medium', withCrossShrink: true },
        word,
        number,
        fc.constantFrom('true', 'false', 'null'),
        fc.array(tie('node'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
        fc
          .array(fc.tuple(space, word, space, tie('node')), { maxLength: 4 })
          .map(
            (members) =>
              `{${members.map(([before, key, after, node]) => `${before}${key}${after}:${node}`).join(',')}}`,
          ),
      ),
      space,
    )
    .map((parts) => parts.join('')),
})).node;

/** The same texts with one character taken out or put in. */
const spoiled = fc
  .tuple(
    text,
    fc.nat(),
    fc.constantFrom('', '"', '\\', ',', ':', '{', '}', '[', ']', '0', 'e', '-', '/*x*/', '\ufeff', '\0'),
  )
  .map(([whole, where, put]) => {
    const at = where % (whole.length + 1);
    return whole.slice(0, at) + put + whole.slice(put === '' ? at + 1 : at);
  });

describe('the strict reader', () => {
  it.each(['"\\u0061"', '"a"'])('reads the key %s alike, whatever was read before', (key) => {
    readJson('{"same":true,"\\\\":1}');
    expect(readJson(`{"same":true,${key}:{"\\u006bey  0":[2]},"key 0":3}`)).toEqual({
      ok: true,
      value: { same: true, a: { 'key  0': [2] }, 'key 0': 3 },
    });
  });

  it('finds what a plain one finds, and else reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.oneof(text, spoiled), (given) => {
        const naive = naiveReading(given, MAX_DEPTH);
        const problem = problemOf(given);
        if ('value' in naive) {
          expect(problem).toBeNull();
          expect(readJson(given)).toEqual({ ok: true, value: naive.value });
          // V8 misreads some escaped keys.
          if (!given.includes('\\')) expect(naive.value).toEqual(JSON.parse(given));
        } else if (naive.problem !== 'syntax' && problem?.problem === 'syntax') {
          // The plain one stops at the first problem; that the rest is no JSON is told before all others.
          expect(() => JSON.parse(given) as unknown).toThrow(SyntaxError);
        } else expect(problem).toEqual(naive);
      }),
      { numRuns: 8_000 },
    );
  });

  it.each([
    ['a key twice', '{"a":{"b":[0,{"c":1,"\\u0063":2}]}}', 'a.b.1.c: It stands there twice: send it once.'],
    [
      'a whole number too large',
      '{"n":12345678901234567890}',
      'n: It is a whole number beyond 2^53 - 1: send it as a string.',
    ],
    [
      'a whole number too large, as a fraction',
      '[9007199254740993.0]',
      '0: It is a number beyond 2^53 - 1 with more digits than are kept: send it as a string.',
    ],
    [
      'a whole number too large, with an exponent',
      '[-9007199254740993e0]',
      '0: It is a number beyond 2^53 - 1 with more digits than are kept: send it as a string.',
    ],
    ['an endless number', '{"n":[1e400]}', 'n.0: It is a number beyond all bounds: send it as a string.'],
    ['a number that would vanish', '[1e-400]', '0: It is a number beyond all bounds: send it as a string.'],
    ['half a pair', '{"a":"\\ud800"}', 'a: It holds NUL or half a surrogate pair: remove it.'],
    ['__proto__', '{"a":{"__proto__":1}}', 'a: It has the key __proto__: rename it.'],
    [
      'constructor.prototype',
      '{"constructor":{"prototype":1}}',
      'constructor: It has the key prototype under constructor: rename one.',
    ],
    ['a comment', '{/* none */}', 'The body is not JSON: send one JSON value.'],
    ['more than one value', '{}{}', 'The body is not JSON: send one JSON value.'],
  ])('names %s and its place', (_what, given, line) => {
    const reading = readJson(given);
    expect(reading.ok ? null : problemLine(reading.problem, 'The body')).toBe(line);
  });

  it('takes what is only unusual', () => {
    for (const given of [
      '{"constructor":1,"prototype":2}',
      '{"constructor":[{"prototype":1}]}',
      '{"":{"":0}}',
      '1e21',
      '1e20',
      '1e23',
      '-1.50E+23',
      '9007199254740994.0',
      '1.7976931348623157e308',
      '-0',
    ]) {
      expect(readJson(given)).toMatchObject({ ok: true });
    }
  });

  it('overflows at no depth', () => {
    const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(readJson(nested(MAX_DEPTH)).ok).toBe(true);
    expect(problemOf(nested(MAX_DEPTH + 1))).toEqual({ problem: 'depth', place: '0' });
    expect(problemOf(`{"a":${nested(500_000)}}`)).toEqual({ problem: 'depth', place: 'a' });
    expect(problemOf('{"a":'.repeat(500_000))).toEqual({ problem: 'syntax', place: '' });
  });

  it('needs no more looks for what is made to need many', () => {
    // Each would take minutes with a look back at every step.
    const million = 1_000_000;
    for (const hostile of [
      `"${'\\\\'.repeat(million)}"`,
      `"${'\\"'.repeat(million)}"`,
      `[${'1e5,'.repeat(million)}0]`,
      `[${'"\\u0041",'.repeat(million / 4)}0]`,
      `{${Array.from({ length: million / 4 }, (_, index) => `"${index}":0`).join(',')}}`,
      `[${'{},'.repeat(million)}0]`,
    ]) {
      expect(readJson(hostile).ok).toBe(true);
    }
  });
});
