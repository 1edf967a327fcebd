import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import {
  memberLines,
  membersOf,
  readMember,
  takesMoreThan,
  textOfMembers,
} from '../../src/crypto/canonical-members.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { canonicalObject } from '../support/canonical-arbitrary.ts';

it('an object in lines is the same JSON, and without its line breaks canonical', () => {
  fc.assert(
    fc.property(canonicalObject, (object) => {
      const lines = memberLines(object);
      expect(JSON.parse(lines)).toEqual(JSON.parse(JSON.stringify(object)));
      expect(lines.replaceAll('\n', '')).toBe(canonicalJson(object));
    }),
  );
});

it('members are put together to the canonical text of what they were taken from, lines or not', () => {
  fc.assert(
    fc.property(canonicalObject, (object) => {
      const text = canonicalJson(object);
      for (const stored of [memberLines(object), JSON.stringify(object), text]) {
        const members = membersOf(stored);
        expect(textOfMembers(members)).toBe(text);
        const bytes = Buffer.byteLength(text);
        expect([bytes - 1, bytes].map((most) => takesMoreThan(most, members))).toEqual([true, false]);
      }
    }),
  );
});

it('a member that is put in takes its place in the order, whatever its name goes on with', () => {
  const object: JsonObject = { a: 1, a_b: 2, 'a-b': 3, aB: 4, a1: 5, A: 6, _: 7 };
  for (const name of Object.keys(object)) {
    const { [name]: value = null, ...others } = object;
    const members = membersOf(memberLines(others)).set(name, canonicalJson(value));
    expect(textOfMembers(members)).toBe(canonicalJson(object));
  }
});

it('text that looks like lines stays one member', () => {
  const object = { note: '",\n"status":"Approved', status: 'Declined', nested: { status: ['",\n"', '{\n"'] } };
  const members = membersOf(memberLines(object));
  expect([...members.keys()]).toEqual(['nested', 'note', 'status']);
  expect(readMember(members, 'note')).toBe(object.note);
  expect(readMember(members, 'nested')).toEqual(object.nested);
  expect(readMember(members, 'none')).toBeUndefined();
});
