import { inspect } from 'node:util';

import { describe, expect, test } from 'vitest';

import { KeyRingInvalid, parseKeyRing } from '../../src/crypto/key-ring.ts';

const one = Buffer.alloc(32, 0xa1).toString('base64url');
const two = Buffer.alloc(48, 0xb2).toString('base64url');

function failure(text: string): KeyRingInvalid {
  try {
    parseKeyRing(text);
  } catch (error) {
    if (error instanceof KeyRingInvalid) return error;
    throw error;
  }
  throw new Error('the key ring was accepted');
}

describe('parseKeyRing', () => {
  test('the first entry signs and all are found', () => {
    const ring = parseKeyRing(` 2026-11:${one}, old_key:${two} `);
    expect(ring.activeKid).toBe('2026-11');
    expect(ring.kids).toEqual(['2026-11', 'old_key']);
    expect(ring.get('2026-11')).toEqual(Buffer.alloc(32, 0xa1));
    expect(ring.get('old_key')).toEqual(Buffer.alloc(48, 0xb2));
    expect(ring.get('constructor')).toBeUndefined();
  });

  test('shows no key when logged', () => {
    const ring = parseKeyRing(`k:${one}`);
    expect(inspect(ring, { depth: 9, showHidden: true }) + JSON.stringify(ring)).not.toMatch(/a1 ?a1|161, ?161/i);
  });

  test.each([
    ['empty text', '', /entry 1 is empty/],
    ['an empty entry', `a:${one},`, /entry 2 is empty/],
    ['a key without id', `a:${one},${two}`, /entry 2 has no key id/],
    ['an id with a space', `a b:${one}`, /entry 1: the key id/],
    ['an id of 65 characters', `${'k'.repeat(65)}:${one}`, /entry 1: the key id/],
    ['an id given twice', `a:${one},a:${two}`, /entry 2 repeats/],
    ['a key of 31 bytes', `a:${Buffer.alloc(31, 0xc3).toString('base64url')}`, /31 bytes, fewer than 32/],
    ['no key', 'a:', /not base64url/],
    ['standard base64', `a:${Buffer.alloc(32, 0xff).toString('base64')}`, /not base64url/],
    ['a PEM', `a:-----BEGIN PUBLIC KEY-----\n${one}\n-----END PUBLIC KEY-----`, /not base64url/],
  ])('refuses %s, says which entry and how to make a key', (_name, text, message) => {
    expect(failure(text).message).toMatch(message);
  });

  test('never repeats a key, not even one written in the place of its id', () => {
    for (const text of [`${two}!:${one}`, `a:${one},${two}:`, `a:${one}=`, `x:${one},x:${two}`, one, `:${one}`]) {
      const error = failure(text);
      expect(error.message).not.toContain(one.slice(0, 8));
      expect(error.message).not.toContain(two.slice(0, 8));
    }
  });

  test('a message about a key carries the command that makes one', () => {
    expect(failure('a:short').message).toContain('randomBytes(32)');
  });
});
