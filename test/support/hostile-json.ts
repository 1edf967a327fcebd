import * as fc from 'fast-check';
import type { JsonValue } from '../../src/domain/json.ts';

const key = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('__proto__', 'constructor', '10', '9', '', 'first name', 'größe', '\ud800', '\u{1F600}', 'decision'),
  fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,12}$/),
);
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud83d', '\udfff', '\u2028', '\0', '\ufeff'),
  fc
    .tuple(fc.constantFrom('x', 'ü', '日', '\u{1F600}', '"', '\u0001'), fc.integer({ min: 0, max: 40_000 }))
    .map(([character, length]) => character.repeat(length)),
);
const number = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.constantFrom(1e21, 2 ** 60, 1e-7, 5e-324, -0, 1.5));
const nested = fc
  .integer({ min: 1, max: 90 })
  .map((levels) => Array.from({ length: levels }).reduce<JsonValue>((inner) => ({ a: [inner] }), 1));

/** Any JSON value, far more often than not one that a signed body cannot carry. */
export const hostileJson: fc.Arbitrary<JsonValue> = fc.letrec<{ node: JsonValue }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    nested,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(key, tie('node'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).node;
