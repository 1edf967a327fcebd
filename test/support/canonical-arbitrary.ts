import * as fc from 'fast-check';

import type { JsonObject, JsonValue } from '../../src/domain/json.ts';

const safeKey = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,12}$/).filter((key) => key !== '__proto__');
const decimal = fc
  .double({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 53) + 1, max: 2 ** 53 - 1 })
  .filter((value) => value === 0 || Math.abs(value) >= 1e-4);
const money = fc.integer({ min: -9_999_999, max: 9_999_999 }).map((cents) => cents / 100);
const scalar: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  decimal,
  money,
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', '\u2028\u2029', '\u007f', '"\\/\b\f\n\r\t\0', 'ë 日本 😀', '\ufeff', '30.0'),
);

/** Objects inside the safe profile of a webhook body. */
export const canonicalObject: fc.Arbitrary<JsonObject> = fc.letrec<{ node: JsonValue; object: JsonObject }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('node'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(safeKey, tie('node'), { maxKeys: 6, noNullPrototype: true }),
})).object;
