import { describe, expect, it } from 'vitest';
import type { CheckCategory } from '../../src/domain/decision-categories.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { documentName, facetsOf, knownDocumentCode, searchFactsOf } from '../../src/domain/session-facts.ts';

const check = (category: CheckCategory, shared: JsonObject) => ({ category, shared });

describe('facetsOf', () => {
  it('reads a person’s document, the first that says it, and the warnings of all checks', () => {
    const facets = facetsOf([
      check('id_verifications', { issuing_state: ' ', warnings: [{ risk: 'A_RISK' }, { risk: 'A_RISK' }, {}, 'text'] }),
      check('id_verifications', { issuing_state: 'esp', document_type: 'Residence Permit' }),
      check('aml_screenings', { warnings: [{ risk: 'OTHER_RISK' }, { risk: 'Mr. Somebody' }] }),
      check('face_matches', { warnings: null }),
    ]);
    expect(facets).toEqual({ country: 'ESP', documentType: 'RP', warnings: ['A_RISK', 'OTHER_RISK'] });
  });

  it('reads a company’s code from its record, wherever the source put it', () => {
    expect(facetsOf([check('registry_checks', { company: { country_code: 'GB' } })]).country).toBe('GB');
    expect(facetsOf([check('registry_checks', { company: null, registry_country: 'US-DE' })]).country).toBe('US-DE');
    expect(facetsOf([])).toEqual({ country: null, documentType: null, warnings: [] });
  });

  it('keeps no text that is no code', () => {
    expect(
      facetsOf([check('id_verifications', { issuing_state: 'Kingdom of Spain', document_type: 'My card' })]),
    ).toEqual({ country: null, documentType: 'OTHER', warnings: [] });
    for (const issuing_state of ['Jane Doe', 'J. Doe', '+34600111', 'GB-ENGLAND']) {
      expect(facetsOf([check('id_verifications', { issuing_state })]).country).toBeNull();
    }
  });
});

describe('documents', () => {
  it.each([
    ['Identity Card', 'ID', 'Identity Card'],
    ['IDENTITY_CARD', 'ID', 'Identity Card'],
    ['P', 'P', 'Passport'],
    ["driver's license", 'DL', "Driver's License"],
    ['PSC', 'PSC', 'PSC'],
    ['Library Card', null, 'Library Card'],
    ['__proto__', null, '__proto__'],
  ])('%s is %s, shown as %s', (type, code, name) => {
    expect(knownDocumentCode(type)).toBe(code);
    expect(documentName(type)).toBe(name);
  });
});

describe('searchFactsOf', () => {
  it('takes what names the session’s own person', () => {
    const facts = searchFactsOf([
      check('id_verifications', {
        first_name: 'Ada',
        last_name: 'Lovelace',
        full_name: 'Ada King Lovelace',
        document_number: 'X1',
        personal_number: 'Y2',
        extra_fields: { full_name_non_latin: 'Άντα', full_name_latin: 7 },
      }),
      check('email_verifications', { email: 'ada@example.test' }),
      check('aml_screenings', { screened_data: { full_name: 'Somebody Else' } }),
    ]);
    expect(facts).toEqual([
      { field: 'name', value: 'Ada King Lovelace' },
      { field: 'name', value: 'Ada' },
      { field: 'name', value: 'Lovelace' },
      { field: 'name', value: 'Ada Lovelace' },
      { field: 'name', value: 'Άντα' },
      { field: 'document_number', value: 'X1' },
      { field: 'document_number', value: 'Y2' },
      { field: 'email', value: 'ada@example.test' },
    ]);
  });

  it('takes what names the company, and not its officers', () => {
    const facts = searchFactsOf([
      check('registry_checks', {
        company: {
          company_name: 'Acme',
          legal_name: 'Acme Ltd',
          registration_number: '0041',
          email: 'office@acme.test',
          officers: [{ name: 'Grace Hopper' }],
        },
      }),
      check('key_people_checks', { registry: { officers: [{ name: 'Grace Hopper' }] } }),
    ]);
    expect(facts).toEqual([
      { field: 'name', value: 'Acme' },
      { field: 'name', value: 'Acme Ltd' },
      { field: 'document_number', value: '0041' },
      { field: 'email', value: 'office@acme.test' },
    ]);
  });
});
