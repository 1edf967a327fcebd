import { describe, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/failures.ts';
import { SESSION_STATUSES } from '../../src/domain/session-status.ts';
import { personVendorData, settleImport, type ImportWay } from '../../src/sharing/import-rules.ts';
import type { ConnectionTerms, ImportChoice, ImportFacts, SessionRow, ShareFacts } from '../../src/sharing/ports.ts';

const ISSUER = '0193a5f0-0000-7000-8000-000000000001';

const SHARE: NonNullable<ShareFacts['token']> = {
  sessionId: 'source',
  sessionKind: 'user',
  issuerId: ISSUER,
  partnerId: 'partner',
  environment: 'sandbox',
  kid: 'kid',
  keyRemoved: false,
  issuedAt: 0,
  expiresAt: 3600,
  expired: false,
  remainingMs: 1,
  closedAs: null,
  closedReason: null,
};

const SOURCE: SessionRow = {
  sessionId: 'source',
  applicationId: ISSUER,
  kind: 'user',
  number: 7,
  status: 'Approved',
  environment: 'sandbox',
  workflowId: null,
  vendorData: 'crm-1',
  externalId: null,
  features: [],
  nfcSkipReason: null,
  documentExpiresOn: null,
  sharedFromSession: null,
  parentImport: null,
  sessionType: 'API',
  workflowVersion: 1,
  firstStatus: 'Approved',
  country: null,
  documentType: null,
  warnings: [],
  createdAt: '2026-03-01T00:00:00.000000Z',
  expiresAt: null,
};

const CONNECTION: ConnectionTerms = { active: true, suspended: false, trustReview: false, vendorDataRule: 'prefixed' };

/** What lets an import pass, with what a test changes. */
const given = (changes: Partial<ImportFacts> = {}): ImportFacts => ({
  source: SOURCE,
  people: [],
  issuer: { deleted: false },
  partner: { environment: 'sandbox', deleted: false },
  connection: null,
  livingImport: null,
  chosenWorkflow: null,
  defaults: {
    user: { workflowId: 'of people', version: 3 },
    business: { workflowId: 'of businesses', version: 4 },
  },
  ...changes,
});

const settle = (facts: ImportFacts, choice: ImportChoice = {}, way: ImportWay = 'plain', share = SHARE) =>
  settleImport(share, facts, choice, way);

/** The code and the details that an import is refused with. */
function refusal(facts: ImportFacts, choice: ImportChoice = {}): Pick<Refusal, 'code' | 'field' | 'extra'> {
  try {
    settle(facts, choice);
  } catch (error) {
    if (error instanceof Refusal) return { code: error.code, field: error.field, extra: error.extra };
    throw error;
  }
  throw new Error('not refused');
}

describe('settleImport refuses', () => {
  const FAULTS: readonly (readonly [string, Partial<ImportFacts>])[] = [
    ['already_imported', { livingImport: { sessionId: 'there' } }],
    ['connection_suspended', { connection: { ...CONNECTION, suspended: true } }],
    ['application_deleted', { issuer: { deleted: true } }],
    ['source_session_gone', { source: null }],
    ['source_not_shareable', { partner: { environment: 'live', deleted: false } }],
    ['workflow_required', { defaults: { user: null, business: { workflowId: 'of businesses', version: 4 } } }],
  ];

  it.each(FAULTS.map(([code], from) => [code, from] as const))('by %s before all that come after', (code, from) => {
    const [, own] = FAULTS[from] ?? [];
    expect(refusal(given(own)).code).toBe(code);
    const faults = FAULTS.slice(from).map(([, changes]) => changes);
    expect(refusal(given(Object.assign({}, ...faults.toReversed()))).code).toBe(code);
  });

  it('a second import with the one that is there', () => {
    expect(refusal(given({ livingImport: { sessionId: 'there' } }))).toEqual({
      code: 'already_imported',
      field: undefined,
      extra: { existing_session_id: 'there' },
    });
  });

  it('a suspended connection whether it is active or only proposed', () => {
    for (const active of [true, false]) {
      const connection = { ...CONNECTION, active, suspended: true };
      expect(refusal(given({ connection })).code).toBe('connection_suspended');
    }
  });

  it('when either application is deleted', () => {
    expect(refusal(given({ issuer: { deleted: true } })).code).toBe('application_deleted');
    expect(refusal(given({ partner: { environment: 'sandbox', deleted: true } })).code).toBe('application_deleted');
  });

  it('every status but the three that may be shared', () => {
    for (const status of SESSION_STATUSES) {
      const facts = given({ source: { ...SOURCE, status } });
      if (['Approved', 'Declined', 'In Review'].includes(status)) expect(settle(facts).source.status).toBe(status);
      else expect(refusal(facts).code).toBe('source_not_shareable');
    }
  });

  it('a verification workflow that is not named, not there, or of the other kind', () => {
    const chosenWorkflow = { workflowId: 'w', version: 2, kind: 'business' } as const;
    const defaults = { user: null, business: { workflowId: 'of businesses', version: 4 } };
    const field = 'workflow_id';
    expect(refusal(given({ defaults }))).toMatchObject({ code: 'workflow_required', field });
    expect(refusal(given(), { workflowId: 'w' })).toMatchObject({ code: 'workflow_not_found', field });
    expect(refusal(given({ chosenWorkflow }), { workflowId: 'w' })).toMatchObject({
      code: 'workflow_kind_mismatch',
      field,
    });
  });
});

describe('settleImport settles', () => {
  it('the workflow that is named, else the default of the kind; for people that of users', () => {
    const chosenWorkflow = { workflowId: 'w', version: 2, kind: 'user' } as const;
    expect(settle(given({ chosenWorkflow }), { workflowId: 'w' })).toMatchObject({ workflow: chosenWorkflow });
    expect(settle(given())).toMatchObject({ workflow: { workflowId: 'of people', version: 3 } });
    expect(settle(given(), {}, 'plain', { ...SHARE, sessionKind: 'business' })).toMatchObject({
      workflow: { workflowId: 'of businesses', version: 4 },
      peopleWorkflow: { workflowId: 'of people', version: 3 },
    });
  });

  it('the source and its people as they are', () => {
    const people = [{ ...SOURCE, sessionId: 'person' }];
    expect(settle(given({ people }))).toMatchObject({ source: SOURCE, people });
  });

  it.each<[ImportWay, ConnectionTerms | null, boolean | undefined, boolean]>([
    ['plain', { ...CONNECTION, trustReview: true }, undefined, false],
    ['plain', null, true, true],
    ['onboarding', null, undefined, false],
    ['onboarding', CONNECTION, undefined, false],
    ['onboarding', CONNECTION, true, true],
    ['onboarding', { ...CONNECTION, trustReview: true }, undefined, true],
    ['onboarding', { ...CONNECTION, trustReview: true }, false, false],
    ['onboarding', { ...CONNECTION, trustReview: true, active: false }, undefined, false],
  ])('trust_review of a %s import by %j, said %s: %s', (way, connection, trustReview, trusted) => {
    const choice = trustReview === undefined ? {} : { trustReview };
    expect(settle(given({ connection }), choice, way).trustReview).toBe(trusted);
  });

  it.each<[ImportWay, ConnectionTerms | null, string | null, string | null | undefined, string | null]>([
    ['plain', CONNECTION, 'crm-1', undefined, 'crm-1'],
    ['plain', null, 'crm-1', 'mine', 'mine'],
    ['plain', null, 'crm-1', null, null],
    ['plain', null, null, undefined, null],
    ['onboarding', null, 'crm-1', undefined, `${ISSUER}:crm-1`],
    ['onboarding', CONNECTION, 'crm-1', undefined, `${ISSUER}:crm-1`],
    ['onboarding', { ...CONNECTION, vendorDataRule: 'same' }, 'crm-1', undefined, 'crm-1'],
    ['onboarding', { ...CONNECTION, vendorDataRule: 'same', active: false }, 'crm-1', undefined, `${ISSUER}:crm-1`],
    ['onboarding', CONNECTION, null, undefined, null],
    ['onboarding', CONNECTION, 'crm-1', null, null],
    ['onboarding', CONNECTION, null, 'mine', 'mine'],
  ])('vendor_data of a %s import by %j: %j, said %j, is %j', (way, connection, own, said, wanted) => {
    const facts = given({ connection, source: { ...SOURCE, vendorData: own } });
    expect(settle(facts, said === undefined ? {} : { vendorData: said }, way).vendorData).toBe(wanted);
  });
});

describe('personVendorData', () => {
  it.each<[ImportWay, ConnectionTerms | null, string | null, string | null]>([
    ['plain', { ...CONNECTION, vendorDataRule: 'same' }, 'officer-1', null],
    ['onboarding', null, 'officer-1', `${ISSUER}:officer-1`],
    ['onboarding', CONNECTION, 'officer-1', `${ISSUER}:officer-1`],
    ['onboarding', { ...CONNECTION, vendorDataRule: 'same' }, 'officer-1', 'officer-1'],
    ['onboarding', { ...CONNECTION, vendorDataRule: 'same' }, null, null],
  ])('of a %s import by %j: %j becomes %j', (way, connection, own, wanted) => {
    const person = { ...SOURCE, vendorData: own };
    expect(personVendorData(person, ISSUER, given({ connection }), way)).toBe(wanted);
  });
});
