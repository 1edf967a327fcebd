import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckCategory } from '../../src/domain/decision-categories.ts';
import { DecisionPartError, MAX_NESTING, putTogether, takeApart } from '../../src/domain/decision-parts.ts';
import type { CheckParts } from '../../src/domain/decision-parts.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';

const CATEGORIES: readonly CheckCategory[] = ['id_verifications', 'key_people_checks', 'registry_checks', 'reviews'];
const CANARY = 'canary-stays-home';
const HOME_KEYS = [
  'matches',
  'session_url',
  'kyc_session_url',
  'kyb_sub_session_url',
  'session_token',
  'kyc_session_token',
  'kyc_session_id',
];
const REVIEW_KEYS = ['user', 'actor_email', 'actor_name', 'actor_display', 'mentioned_emails'];
const AWKWARD_KEYS = ['__proto__', 'constructor', 'a/b', 'm~n', '~1', '', 'ключ', '0', 'additional_data', 'warnings'];

const key = fc.oneof(fc.constantFrom(...HOME_KEYS, ...REVIEW_KEYS, ...AWKWARD_KEYS, 'duplicated_id'), fc.string());
// -0 is written as 0 in JSON text, so no parsed document holds one.
const scalar = fc.oneof(
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
);
const item = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof({ maxDepth: 6 }, scalar, fc.array(tie('value'), { maxLength: 4 }), tie('object')),
  object: fc.dictionary(key, tie('value'), { maxKeys: 6 }).map((object): JsonObject => parse(JSON.stringify(object))),
})).object;

describe('an item taken apart', () => {
  it('is whole again when put together with everything of its owner', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CATEGORIES), item, (category, original) => {
        const before = JSON.stringify(original);
        const parts = stored(takeApart(category, 3, original));
        expect(isDeepStrictEqual(putTogether(ownerView(parts)), original)).toBe(true);
        expect(JSON.stringify(putTogether(ownerView(parts)))).toBe(before);
        expect(JSON.stringify(original)).toBe(before);
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps every home value out of the shared part, wherever it stands', () => {
    const home = fc.oneof(
      fc.constant<JsonValue>(CANARY),
      fc.constant<JsonValue>([{ session_id: CANARY, deep: [[CANARY]] }]),
      fc.constant<JsonValue>({ [CANARY]: 1 }),
    );
    const path = fc.array(fc.oneof(fc.nat(3), fc.constantFrom('a/b', '__proto__', 'company', '~')), { maxLength: 5 });
    fc.assert(
      fc.property(fc.constantFrom(...HOME_KEYS), home, path, (homeKey, value, steps) => {
        const planted = plant(steps, { [homeKey]: value, kept: 'kept' });
        const parts = takeApart('key_people_checks', 0, planted);
        expect(JSON.stringify(parts.shared)).not.toContain(CANARY);
        expect(JSON.stringify(putTogether({ shared: parts.shared }))).not.toContain(CANARY);
        expect(JSON.stringify(parts.shared)).toContain('kept');
        expect(isDeepStrictEqual(putTogether(ownerView(parts)), planted)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('shows an empty list in place of a list, and null in place of anything else', () => {
    const { shared } = takeApart('liveness_checks', 0, {
      matches: [{ a: 1 }],
      session_url: 'u',
      session_token: { a: 1 },
    });
    expect(shared).toEqual({ matches: [], session_url: null, session_token: null });
  });

  it('takes reviewers out of reviews, and leaves the same words elsewhere', () => {
    const entry = { user: CANARY, comment: 'fine', log: [{ actor_email: CANARY, actor_name: CANARY }] };
    expect(takeApart('reviews', 0, entry).shared).toEqual({
      user: null,
      comment: 'fine',
      log: [{ actor_email: null, actor_name: null }],
    });
    expect(takeApart('aml_screenings', 0, entry).shared).toEqual(entry);
    expect(takeApart('reviews', 0, { actor_display: 'x', mentioned_emails: ['x'] }).shared).toEqual({
      actor_display: null,
      mentioned_emails: [],
    });
  });

  it('takes duplicates of other customers out of the details of a warning only', () => {
    const { shared } = takeApart('id_verifications', 0, {
      duplicated_images: 2,
      warnings: [
        { additional_data: { duplicated_session_id: CANARY, similarity: 0.6, more: [{ duplicated_x: CANARY }] } },
      ],
    });
    expect(shared).toEqual({
      duplicated_images: 2,
      warnings: [{ additional_data: { duplicated_session_id: null, similarity: 0.6, more: [{ duplicated_x: null }] } }],
    });
  });

  it('leaves words that only resemble a home key', () => {
    const lookalikes = {
      match: true,
      sanction_matches: [1],
      session_url_count: 2,
      mysession_url: 'x',
      url: 'y',
      token: 1,
    };
    expect(takeApart('aml_screenings', 0, lookalikes).shared).toEqual(lookalikes);
  });
});

describe('the people of a business', () => {
  const officers = {
    officers: [
      { name: 'A', kyc_session_id: 'ref-a' },
      { name: 'B', kyc_session_id: null },
    ],
  };

  it('are references apart from the shared part', () => {
    const parts = takeApart('key_people_checks', 0, { registry: officers });
    expect(parts.people).toEqual([{ pointer: '/registry/officers/0/kyc_session_id', reference: 'ref-a' }]);
    expect(parts.home).toEqual([]);
    expect(JSON.stringify(parts.shared)).not.toContain('ref-a');
  });

  it('are linked to the reader’s own sessions, and null where it has none', () => {
    const { shared, people } = takeApart('registry_checks', 0, officers);
    const pointer = people[0]?.pointer ?? '';
    expect(putTogether({ shared, people: [{ pointer, sessionId: 'clone-of-a' }] })).toEqual({
      officers: [
        { name: 'A', kyc_session_id: 'clone-of-a' },
        { name: 'B', kyc_session_id: null },
      ],
    });
    expect(putTogether({ shared, people: [{ pointer, sessionId: null }] })).toEqual(shared);
  });

  it('stay home like any other value in an array that lists no people', () => {
    const parts = takeApart('document_verifications', 0, { kyc_session_id: 'ref-a' });
    expect(parts).toMatchObject({ shared: { kyc_session_id: null }, home: [['/kyc_session_id', 'ref-a']], people: [] });
  });
});

describe('refusals', () => {
  it.each(['kept', 'matches'])(
    'an item nested too deep under %s is refused at the place where it is too deep',
    (name) => {
      expect(() => takeApart('id_verifications', 0, { [name]: nested(MAX_NESTING - 1) })).not.toThrow();
      const error = errorOf(() => takeApart('id_verifications', 0, { [name]: nested(100_000) }));
      expect(error.pointer).toBe(`/${name}${'/0'.repeat(MAX_NESTING - 1)}`);
    },
  );

  it.each(['/missing', '/list/7', '/__proto__/toString', '/constructor', '/text/0', ''])(
    'a pointer %j that names nothing is refused',
    (pointer) => {
      const shared = { list: [1], text: 'abc' };
      expect(errorOf(() => putTogether({ shared, home: [[pointer, 'x']] })).pointer).toBe(pointer);
      expect(shared).toEqual({ list: [1], text: 'abc' });
    },
  );
});

function parse(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

/** Parts as they come back from a store that keeps JSON text. */
function stored(parts: CheckParts): CheckParts {
  return JSON.parse(JSON.stringify(parts)) as CheckParts;
}

function ownerView({ shared, home, people }: CheckParts): Parameters<typeof putTogether>[0] {
  return { shared, home, people: people.map(({ pointer, reference }) => ({ pointer, sessionId: reference })) };
}

function plant(steps: readonly (number | string)[], leaf: JsonObject): JsonObject {
  let value: JsonValue = leaf;
  for (const step of steps) {
    value =
      typeof step === 'number'
        ? [...Array<null>(step).fill(null), value]
        : parse(`{${JSON.stringify(step)}:${JSON.stringify(value)}}`);
  }
  return { top: value };
}

function nested(levels: number): JsonValue {
  let value: JsonValue = [];
  for (let level = 1; level < levels; level += 1) value = [value];
  return value;
}

function errorOf(run: () => unknown): DecisionPartError {
  try {
    run();
  } catch (error) {
    if (error instanceof DecisionPartError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown');
}
