import { describe, expect, it } from 'vitest';
import { createBlindIndex } from '../../src/crypto/blind-index.ts';

const index = createBlindIndex(Buffer.alloc(32, 1));
const [ONE, OTHER] = ['0198c0de-0000-7000-8000-000000000001', '0198c0de-0000-7000-8000-000000000002'];

describe('the blind index', () => {
  it.each([
    ['name', 'Zoë Ferrándiz', '  ZOË\u00a0 ferra\u0301ndiz '],
    ['name', 'Ｌｅｎａ', 'lena'],
    ['name', 'Παράδειγμα', 'ΠΑΡΆΔΕΙΓΜΑ'],
    ['email', 'Ada@Example.test', 'ada@example.test'],
    ['document_number', 'X-100 200/3.4', 'x10020034'],
  ] as const)('has one %s term for %j and %j', (field, left, right) => {
    expect(index.term(ONE, field, left)).toEqual(index.term(ONE, field, right));
  });

  it.each([
    ['name', 'Ana-Maria', 'Ana Maria'],
    ['name', 'Zoë', 'Zoe'],
    ['email', 'a.b@example.test', 'ab@example.test'],
    ['document_number', 'X1', 'X10'],
  ] as const)('keeps %s %j and %j apart', (field, left, right) => {
    expect(index.term(ONE, field, left)).not.toEqual(index.term(ONE, field, right));
  });

  it('has terms of 16 bytes that differ by application, field and key', () => {
    const term = index.term(ONE, 'name', 'x1');
    expect(term).toHaveLength(16);
    expect(index.term(OTHER, 'name', 'x1')).not.toEqual(term);
    expect(index.term(ONE, 'document_number', 'x1')).not.toEqual(term);
    expect(createBlindIndex(Buffer.alloc(32, 2)).term(ONE, 'name', 'x1')).not.toEqual(term);
    // The same after a restart.
    expect(createBlindIndex(Buffer.alloc(32, 1)).term(ONE, 'name', 'x1')).toEqual(term);
    expect(() => createBlindIndex(Buffer.alloc(31))).toThrow('32 bytes');
  });
});
