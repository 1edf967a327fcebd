import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDecision } from '../../src/domain/decision-intake.ts';
import { MAX_NESTING } from '../../src/domain/decision-parts.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';

const USER: JsonObject = { session_kind: 'user', status: 'Approved' };
const BUSINESS: JsonObject = { session_kind: 'business', status: 'IN_REVIEW' };

describe('a decision document is read', () => {
  it('from its two required fields alone', () => {
    expect(readDecision(USER)).toEqual({
      ok: true,
      problems: [],
      kind: 'user',
      status: 'Approved',
      environment: null,
      external_id: null,
      vendor_data: null,
      features: [],
      nfc_skip_reason: null,
      created_at: null,
      expires_at: null,
      document_expires_on: null,
      checks: [],
      home: { session_url: null, metadata: null, expected_details: null, contact_details: null, callback: null },
    });
  });

  it('with a business status in either casing', () => {
    expect(content(BUSINESS)).toMatchObject({ kind: 'business', status: 'In Review' });
    expect(content({ ...BUSINESS, status: 'In Review' })).toMatchObject({ status: 'In Review' });
  });

  it('with what the store gives itself left aside', () => {
    const ignored = {
      session_id: 'x',
      session_number: 'seven',
      workflow_id: 8,
      application_id: [],
      shared_from_session: 'y',
    };
    expect(content({ ...USER, ...ignored })).toEqual(content(USER));
  });

  it('by the second name of an array, or by both when they agree', () => {
    const proof = [{ issuer: 'Example Energy', nested: { a: 1, b: 2 } }];
    const sameInOtherOrder = [{ nested: { b: 2, a: 1 }, issuer: 'Example Energy' }];
    const { checks } = content({ ...USER, proof_of_address: proof });
    expect(checks).toMatchObject([{ category: 'poa_verifications', position: 0, shared: proof[0] }]);
    expect(content({ ...USER, poa_verifications: proof, proof_of_address: sameInOtherOrder }).checks).toEqual(checks);
    expect(content({ ...USER, poa_verifications: null, proof_of_address: [] }).checks).toEqual([]);
  });

  it('with features derived from the arrays that have content, unless it states them', () => {
    const document = { ...USER, aml_screenings: [{}, {}], id_verifications: [{}], face_matches: [], reviews: [{}] };
    expect(content(document).features).toEqual(['ID_VERIFICATION', 'AML']);
    expect(content({ ...document, features: ['FACE_SEARCH'] }).features).toEqual(['FACE_SEARCH']);
  });

  it('with the earliest valid expiry of an identity document', () => {
    const dates: JsonValue[] = ['2031-06-02', '2029-02-29', '2030-01-09', 'soon', null, 20280101, '2030-01-10'];
    const document = {
      ...USER,
      id_verifications: dates.map((expiration_date) => ({ expiration_date })),
      poa_verifications: [{ expiration_date: '2020-01-01' }],
    };
    expect(content(document).document_expires_on).toBe('2030-01-09');
    expect(content({ ...USER, id_verifications: [{ expiration_date: '2029-02-29' }] }).document_expires_on).toBeNull();
  });

  it.each([
    '2026-05-17T08:42:11Z',
    '2026-05-17T08:42Z',
    '2024-02-29T23:59:59.123456+05:30',
    '0001-01-01T00:00:00-0800',
  ])('with the time %s as given', (created_at) => {
    expect(content({ ...USER, created_at }).created_at).toBe(created_at);
  });
});

describe('a decision document is refused', () => {
  it.each<[field: string, document: JsonObject, mend: string]>([
    ['session_kind', { status: 'Approved' }, 'missing: give `user`'],
    ['session_kind', { ...USER, session_kind: 'User' }, 'Unknown kind'],
    ['status', { session_kind: 'user' }, 'missing: give one of Not Started'],
    ['status', { ...USER, status: 'approved' }, 'Unknown status'],
    ['environment', { ...USER, environment: 'production' }, 'give `live` or `sandbox`'],
    ['surprise', { ...USER, surprise: null }, 'Unknown field: remove it'],
    [
      '__proto__',
      JSON.parse('{"session_kind":"user","status":"Approved","__proto__":{}}') as JsonObject,
      'Unknown field',
    ],
    ['external_id', { ...USER, external_id: 7 }, 'give a string or null'],
    ['external_id', { ...USER, external_id: '' }, 'empty: give your own id'],
    ['vendor_data', { ...USER, vendor_data: {} }, 'give a string or null'],
    ['nfc_skip_reason', { ...USER, nfc_skip_reason: false }, 'not a code'],
    ['nfc_skip_reason', { ...USER, nfc_skip_reason: 'Ana Prueba' }, 'not a code'],
    ['nfc_skip_reason', { ...USER, nfc_skip_reason: 'A'.repeat(65) }, 'not a code'],
    ['nfc_skip_reason', { ...BUSINESS, nfc_skip_reason: 'USER_SKIPPED' }, 'Only a user session'],
    ['features', { ...USER, features: [{ feature: 'AML' }] }, 'give codes'],
    ['features', { ...USER, features: 'AML' }, 'give codes'],
    ['features', { ...USER, features: ['AML', 'Ana Prueba'] }, 'give codes'],
    ['features', { ...USER, features: ['AML\n'] }, 'give codes'],
    ['features', { ...USER, features: Array<string>(65).fill('AML') }, 'up to 64'],
    [
      'key_people_checks.0',
      { ...BUSINESS, key_people_checks: [{ kyc_session_id: 'x'.repeat(256) }] },
      'more than 255 characters',
    ],
    ['id_verifications', { ...USER, id_verifications: {} }, 'give an array of objects'],
    ['id_verifications.1', { ...USER, id_verifications: [{}, 'x'] }, 'not an object'],
    ['proof_of_address.0', { ...USER, proof_of_address: [null] }, 'not an object'],
    ['proof_of_address', { ...USER, poa_verifications: [{ a: 1 }], proof_of_address: [{ a: 2 }] }, 'differs'],
    ['proof_of_address', { ...USER, poa_verifications: [{ a: null }], proof_of_address: [{ b: null }] }, 'differs'],
    ['questionnaires', { ...BUSINESS, questionnaire_responses: null, questionnaires: [{}] }, 'differs'],
    ['registry_checks', { ...USER, registry_checks: [{}] }, 'Only a business session'],
    ['proof_of_address', { ...BUSINESS, proof_of_address: [{}] }, 'Only a user session'],
    ['face_matches', { ...BUSINESS, face_matches: 'none' }, 'Only a user session'],
  ])('naming %s', (field, document, mend) => {
    const { problems } = readDecision(document);
    expect(problems).toEqual([{ field, message: expect.stringContaining(mend) as string }]);
  });

  it.each<JsonValue>([
    '2026-05-17',
    '2026-05-17T08:42:11',
    '2026-02-30T00:00:00Z',
    '2026-05-17T24:00:00Z',
    '0000-01-01T00:00:00Z',
    '',
    0,
  ])('for the time %j', (time) => {
    const { problems } = readDecision({ ...USER, created_at: time, expires_at: time });
    expect(problems.map(({ field }) => field)).toEqual(['created_at', 'expires_at']);
  });

  it('naming every problem at once', () => {
    const { problems } = readDecision({ status: 'x', vendor_data: 1, other: 2 });
    expect(problems.map(({ field }) => field).sort()).toEqual(['other', 'session_kind', 'status', 'vendor_data']);
  });

  it.each(['id_verifications', 'proof_of_address', 'metadata'])('when %s nests too deep', (field) => {
    const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as JsonValue;
    const value = field === 'metadata' ? deep : [{}, { deep }];
    const { problems } = readDecision({ ...USER, [field]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.field).toBe(field === 'metadata' ? field : `${field}.1`);
    expect(problems[0]?.message).toContain(`more than ${MAX_NESTING} levels`);
  });

  it('when both names of an array hold the same, too deep', () => {
    const deep = (): JsonValue => JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as JsonValue;
    const { problems } = readDecision({
      ...USER,
      poa_verifications: [{ deep: deep() }],
      proof_of_address: [{ deep: deep() }],
    });
    expect(problems.map(({ field }) => field)).toEqual(['poa_verifications.0']);
  });
});

it('reading never throws, and empty or other-kind arrays are no matter', () => {
  const fields = [
    'session_kind',
    'status',
    'reviews',
    'id_verifications',
    'proof_of_address',
    'registry_checks',
    'features',
    'metadata',
  ];
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), fc.jsonValue(), { maxKeys: 8 }),
      (document) => {
        const reading = readDecision({ ...USER, ...(document as JsonObject) });
        expect(reading.ok).toBe(reading.problems.length === 0);
      },
    ),
    { numRuns: 1000 },
  );
  expect(readDecision({ ...USER, registry_checks: [], key_people_checks: null }).ok).toBe(true);
});

function content(document: JsonObject): Extract<ReturnType<typeof readDecision>, { ok: true }> {
  const reading = readDecision(document);
  if (!reading.ok) throw new Error(JSON.stringify(reading.problems));
  return reading;
}
