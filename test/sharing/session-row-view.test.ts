import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { CheckCategory, SessionKind } from '../../src/domain/decision-categories.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { mediaReference } from '../../src/domain/media-references.ts';
import type { DecisionStyle } from '../../src/sharing/decision.ts';
import { sessionRowsOf, type ListedSession } from '../../src/sharing/session-row-view.ts';
import { homeContext } from '../../src/sharing/store-content.ts';
import { testSealer } from '../support/app-parts.ts';

const APPLICATION = randomUUID();
const READ = randomUUID();

function session(kind: SessionKind, changes: Partial<ListedSession> = {}): ListedSession {
  return {
    sessionId: randomUUID(),
    applicationId: APPLICATION,
    kind,
    number: 7,
    status: 'In Review',
    environment: 'sandbox',
    workflowId: null,
    vendorData: null,
    externalId: null,
    features: [],
    nfcSkipReason: null,
    documentExpiresOn: null,
    sharedFromSession: null,
    parentImport: null,
    sessionType: 'API',
    workflowVersion: 1,
    firstStatus: 'In Review',
    country: null,
    documentType: null,
    warnings: [],
    createdAt: '2026-03-01T00:00:00.000000Z',
    expiresAt: null,
    entityId: null,
    workflowLabel: null,
    ...changes,
  };
}

function rowOf(
  listed: ListedSession,
  items: readonly (readonly [CheckCategory | '', JsonObject])[],
  style: DecisionStyle = { businessStatusCase: 'upper' },
): JsonObject {
  const parts = items.map(([category, item], position) => ({
    sessionId: listed.sessionId,
    category,
    position,
    payload: testSealer.sealPayload(
      category === ''
        ? homeContext(listed, category, position)
        : { applicationId: APPLICATION, sessionId: listed.sessionId, category, position },
      item,
    ),
  }));
  const files = [{ sessionId: listed.sessionId, mediaId: READ }];
  const [row] = sessionRowsOf([listed], { parts, files, nowSeconds: 5 }, testSealer, style);
  if (row === undefined) throw new Error('one session has one row');
  return row;
}

describe('a person’s row', () => {
  it('states each feature once, with the worst that happened in it', () => {
    const row = rowOf(session('user', { features: ['LIVENESS', 'AGE_ESTIMATION', 'NFC', 'FACE_SEARCH', 'toString'] }), [
      ['liveness_checks', { status: 'Approved' }],
      ['liveness_checks', { status: 'Resub Requested' }],
      ['aml_screenings', { status: 'Approved' }],
      ['ip_analyses', { status: 12 }],
    ]);
    expect(row['features']).toEqual([
      { feature: 'LIVENESS', status: 'Resub Requested' },
      { feature: 'AGE_ESTIMATION', status: 'Resub Requested' },
      { feature: 'NFC', status: 'Not Finished' },
      { feature: 'AML', status: 'Approved' },
      { feature: 'IP_ANALYSIS', status: 'Not Finished' },
    ]);
  });

  it('shows the item that was approved, and whether it was', () => {
    const row = rowOf(session('user'), [
      ['id_verifications', { status: 'Declined', full_name: 'Wrong' }],
      ['id_verifications', { status: 'Approved', first_name: 'Ada', last_name: 'Lovelace', document_type: 'P' }],
      ['phone_verifications', { status: 'Declined', phone_number_prefix: '+34', phone_number: '600000001' }],
      ['email_verifications', { status: 'In Review', email: 'ada@example.test', is_breached: true }],
      ['', { session_url: 'https://verify.example/session/x', metadata: { not: 'shown' } }],
    ]);
    expect(row).toMatchObject({
      session_url: 'https://verify.example/session/x',
      full_name: 'Ada Lovelace',
      document_type: 'Passport',
      phone_number: { number: '+34600000001', is_verified: false },
      email_address: { email: 'ada@example.test', is_verified: false },
      additional_details: {
        phone_verification: { country_code: null, is_temporary: null, is_ported: null, is_blocked: null },
        email_verification: { is_breached: true, is_disposable: null, is_undeliverable: null, is_blocklisted: null },
      },
    });
    expect(JSON.stringify(row)).not.toContain('not');
  });

  it('links the files that can be read, and no others', () => {
    const items = [
      ['id_verifications', { status: 'Approved', portrait_image: mediaReference(READ) }],
      ['face_matches', { score: 91.5, source_image: mediaReference(READ), target_image: mediaReference(randomUUID()) }],
    ] as const;
    const listed = session('user');
    const mediaUrl: DecisionStyle['mediaUrl'] = (file) => `https://us.example/${file.mediaId}?${file.nowSeconds}`;
    expect(rowOf(listed, items, { businessStatusCase: 'upper', mediaUrl })).toMatchObject({
      portrait_image: `https://us.example/${READ}?5`,
      additional_details: {
        face_match: { score: 91.5, source_image: `https://us.example/${READ}?5`, target_image: null },
      },
    });
    expect(rowOf(listed, items)['portrait_image']).toBeNull();
  });

  it('states what Didit shows of single checks, and null for what is of another sort', () => {
    const row = rowOf(session('user'), [
      ['aml_screenings', { total_hits: 2, entity_type: 'person', screened_data: { full_name: 'Ada' } }],
      ['liveness_checks', { method: 'PASSIVE', score: 89.5 }],
      ['database_validations', { match_type: 'full_match', screened_data: { tax_number: '12' } }],
      ['poa_verifications', { document_type: 3, issuer: {}, poa_address: 'Street 1', name_on_document: null }],
    ]);
    expect(row['additional_details']).toEqual({
      aml: {
        total_hits: 2,
        entity_type: 'person',
        is_adverse_media_fetched: null,
        screened_data: { full_name: 'Ada' },
      },
      liveness: { method: 'PASSIVE', score: 0.895 },
      database_validation: { validation_type: null, match_type: 'full_match', identification_number: '12' },
      poa: { document_type: null, issuer: null, address: 'Street 1', name_on_document: null },
    });
  });
});

describe('a company’s row', () => {
  it('follows the casing that is set', () => {
    const listed = session('business', { workflowId: randomUUID(), workflowLabel: 'Companies' });
    expect(rowOf(listed, [['registry_checks', { legal_name: 'Acme' }]])).toMatchObject({
      status: 'IN_REVIEW',
      company_name: 'Acme',
      workflow_type: 'kyb',
      workflow_label: 'Companies',
    });
    expect(rowOf(listed, [], { businessStatusCase: 'title' })['status']).toBe('In Review');
  });
});
