import { describe, expect, it } from 'vitest';
import type { CheckCategory } from '../../src/domain/decision-categories.ts';
import { renderDecision } from '../../src/domain/decision-document.ts';
import type { SessionFacts, SessionHome } from '../../src/domain/decision-document.ts';
import type { JsonObject } from '../../src/domain/json.ts';

const FACTS: SessionFacts = {
  session_id: '5f2b1c34-0000-4000-8000-000000000001',
  session_kind: 'user',
  session_number: 417,
  status: 'Approved',
  environment: 'sandbox',
  workflow_id: null,
  features: ['ID_VERIFICATION'],
  vendor_data: null,
  created_at: '2026-05-17T08:42:11Z',
  expires_at: null,
  shared_from_session: null,
  nfc_skip_reason: 'USER_SKIPPED',
};

const HOME: SessionHome = {
  session_url: 'https://verify.example/s',
  metadata: { tier: 'gold' },
  expected_details: { first_name: 'Ana' },
  contact_details: { email: 'ana@example.com' },
  callback: 'https://issuer.example/cb',
};

const NO_CHECKS: ReadonlyMap<CheckCategory, readonly JsonObject[]> = new Map();

describe('a rendered decision', () => {
  it('has the keys of a user session in their order', () => {
    expect(Object.keys(renderDecision(FACTS, HOME, NO_CHECKS)).join(' ')).toBe(
      'session_id session_kind shared_from_session session_number session_url status environment workflow_id features ' +
        'vendor_data metadata expected_details contact_details callback id_verifications nfc_verifications ' +
        'liveness_checks face_matches phone_verifications email_verifications poa_verifications proof_of_address ' +
        'document_ai_documents questionnaire_responses questionnaires aml_screenings ip_analyses ' +
        'database_validations reviews created_at expires_at nfc_skip_reason',
    );
  });

  it('has the keys of a business session in their order', () => {
    const decision = renderDecision({ ...FACTS, session_kind: 'business' }, HOME, NO_CHECKS);
    expect(Object.keys(decision).join(' ')).toBe(
      'session_id session_kind shared_from_session session_number session_url status environment workflow_id features ' +
        'vendor_data metadata callback registry_checks aml_screenings document_verifications key_people_checks ' +
        'phone_verifications email_verifications questionnaire_responses questionnaires ip_analyses reviews ' +
        'contact_details expected_details created_at expires_at',
    );
  });

  it('says [] for a feature that never ran', () => {
    const arrays = Object.values(renderDecision(FACTS, HOME, NO_CHECKS)).filter((value) => Array.isArray(value));
    expect(arrays.filter((array) => array.length > 0)).toEqual([FACTS.features]);
    expect(arrays).toHaveLength(16);
  });

  it('gives an array under both its names', () => {
    const checks = new Map<CheckCategory, JsonObject[]>([
      ['poa_verifications', [{ issuer: 'Example Energy' }]],
      ['questionnaire_responses', [{ title: 'Funds' }]],
    ]);
    expect(renderDecision(FACTS, HOME, checks)).toMatchObject({
      poa_verifications: [{ issuer: 'Example Energy' }],
      proof_of_address: [{ issuer: 'Example Energy' }],
      questionnaire_responses: [{ title: 'Funds' }],
      questionnaires: [{ title: 'Funds' }],
    });
  });

  it('of an import has none of the owner’s settings', () => {
    expect(renderDecision({ ...FACTS, shared_from_session: 'source' }, null, NO_CHECKS)).toMatchObject({
      shared_from_session: 'source',
      session_url: null,
      metadata: null,
      expected_details: null,
      contact_details: null,
      callback: null,
    });
  });

  it('of the owner has all of them', () => {
    expect(renderDecision(FACTS, HOME, NO_CHECKS)).toMatchObject({ ...HOME, shared_from_session: null });
  });
});
