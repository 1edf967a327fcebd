import { describe, expect, it } from 'vitest';
import { readSourceEvent, sentAtOf, type SourceEvent } from '../../src/domain/ingestion.ts';
import type { JsonObject } from '../../src/domain/json.ts';

const SESSION = '22222222-2222-4222-8222-222222222222';

/** Didit's webhook of a person. */
const webhook = (more: JsonObject = {}): JsonObject => ({
  event_id: '33333333-3333-4333-8333-333333333333',
  webhook_type: 'status.updated',
  timestamp: 1_774_970_060,
  created_at: 1_774_970_000,
  environment: 'sandbox',
  session_id: SESSION,
  status: 'Approved',
  vendor_data: 'customer-42',
  metadata: { tier: 'a' },
  decision: {
    session_id: SESSION,
    session_kind: 'user',
    status: 'Approved',
    id_verifications: [{ status: 'Approved', first_name: 'Ana' }],
    nfc_verifications: null,
    reviews: [],
  },
  ...more,
});
const decision = (more: JsonObject): JsonObject => ({ ...(webhook()['decision'] as JsonObject), ...more });

function eventOf(body: JsonObject): SourceEvent {
  const reading = readSourceEvent(body);
  if (reading.about !== 'session') throw new Error(JSON.stringify(reading));
  return reading.event;
}

function problemsOf(body: JsonObject): string[] {
  const reading = readSourceEvent(body);
  return reading.about === 'nothing' ? reading.problems.map(({ field }) => field) : [reading.about];
}

describe('a webhook', () => {
  it('tells the session, its status and its content', () => {
    expect(eventOf(webhook())).toMatchObject({
      externalId: SESSION,
      status: 'Approved',
      environment: 'sandbox',
      madeAt: 1_774_970_000,
      sentAt: 1_774_970_060,
      hasDecision: true,
      ignoredFields: [],
      content: {
        kind: 'user',
        status: 'Approved',
        external_id: SESSION,
        vendor_data: 'customer-42',
        home: { metadata: { tier: 'a' } },
        checks: [{ category: 'id_verifications', shared: { first_name: 'Ana' } }],
      },
    });
  });

  it('is of a company by its word, its ids or its arrays, in either spelling of its status', () => {
    const checks = { status: 'APPROVED', registry_checks: [{ status: 'Approved' }] };
    for (const body of [
      webhook({ session_kind: 'business', status: 'IN_REVIEW', decision: checks }),
      webhook({ business_session_id: SESSION, status: 'In Review', decision: { id: 1 } }),
      webhook({ status: 'In Review', decision: checks }),
    ]) {
      expect(eventOf(body)).toMatchObject({ status: 'In Review', content: { kind: 'business' } });
    }
    const { session_id: _none, ...rest } = webhook({ business_session_id: SESSION, decision: checks });
    expect(eventOf(rest)).toMatchObject({ externalId: SESSION, content: { kind: 'business' } });
  });

  it('without a decision tells the status, and of a session of unknown kind no more', () => {
    const bare = webhook({ status: 'Resubmitted', resubmit_info: { reasons: {} }, decision: null });
    expect(eventOf(bare)).toMatchObject({ status: 'Resubmitted', content: null, hasDecision: false });
    const told = eventOf({ ...bare, session_kind: 'user' });
    expect(told).toMatchObject({
      hasDecision: false,
      content: { kind: 'user', checks: [], vendor_data: 'customer-42' },
    });
  });

  it('is read whatever a later release adds to a decision, and says what was left out', () => {
    const body = webhook({
      new_member: 1,
      decision: decision({
        session_score: 7,
        blocklisted: [],
        features: [{ feature: 'ID_VERIFICATION', node_id: 'n1' }],
        created_at: 'yesterday',
        nfc_skip_reason: 'Ana would not',
        expires_at: '2026-05-24T08:42:11Z',
      }),
    });
    expect(eventOf(body)).toMatchObject({
      content: {
        features: ['ID_VERIFICATION'],
        nfc_skip_reason: null,
        created_at: null,
        expires_at: '2026-05-24T08:42:11Z',
      },
      ignoredFields: [
        'decision.session_score',
        'decision.blocklisted',
        'decision.nfc_skip_reason',
        'decision.created_at',
      ],
    });
  });

  it('keeps the links to its first 500 files, and says which were left out', () => {
    const link = (file: number) => `https://files.example/${file}`;
    const files = Array.from({ length: 600 }, (_, file) => link(file));
    const body = webhook({ decision: decision({ id_verifications: [{ extra_files: files, note: link(0) }] }) });
    const event = eventOf(body);
    const [check] = event.content?.checks.filter(({ category }) => category === 'id_verifications') ?? [];
    expect(check?.shared).toEqual({
      extra_files: files.map((text, file) => (file < 500 ? text : null)),
      note: link(0),
    });
    expect(event.ignoredFields).toHaveLength(50);
    expect(event.ignoredFields[0]).toBe('decision.id_verifications.0.extra_files.500');
  });

  it('is never newer than its own sending, and as old as that when it does not say', () => {
    expect(eventOf(webhook({ created_at: 9_999_999_999 }))).toMatchObject({ madeAt: 1_774_970_060 });
    for (const created of [null, 'x', -1, 1.5]) {
      expect(eventOf(webhook({ created_at: created }))).toMatchObject({ madeAt: 1_774_970_060 });
    }
  });

  it('takes an empty vendor_data for none', () => {
    expect(eventOf(webhook({ vendor_data: '' }))).toMatchObject({ content: { vendor_data: null } });
  });
});

it.each(['user.status.updated', 'business.data.updated', 'transaction.created', 'activity.created', 'made.up'])(
  'leaves %s alone',
  (type) => expect(readSourceEvent(webhook({ webhook_type: type, session_id: null }))).toEqual({ about: 'else' }),
);

it('leaves a test of Didit’s console alone', () => {
  expect(readSourceEvent(webhook({ metadata: { test_webhook: true } }))).toEqual({ about: 'else' });
});

it.each<[string, JsonObject, string]>([
  ['no type', { webhook_type: null }, 'webhook_type'],
  ['no time', { timestamp: null }, 'timestamp'],
  ['no session', { session_id: null }, 'session_id'],
  ['an endless session id', { session_id: 's'.repeat(256) }, 'session_id'],
  ['no status', { status: null, decision: decision({ status: null }) }, 'status'],
  ['an unknown status', { status: 'Fine' }, 'status'],
  ['an unknown status without a decision', { status: 'Fine', decision: null }, 'status'],
  ['an unknown kind', { session_kind: 'pet' }, 'session_kind'],
  ['an unknown environment', { environment: 'moon' }, 'environment'],
  ['an endless vendor_data', { vendor_data: 'v'.repeat(513) }, 'vendor_data'],
  ['a vendor_data that is no text', { vendor_data: 7 }, 'vendor_data'],
  ['a decision that is none', { decision: [] }, 'decision'],
  ['a decision of version 2', { decision: { id_verification: { first_name: 'Ana' } } }, 'decision'],
  ['an array that is none', { decision: decision({ face_matches: {} }) }, 'decision.face_matches'],
  ['the other kind’s array', { decision: decision({ registry_checks: [{}] }) }, 'decision.registry_checks'],
])('refuses %s by its field', (_what, more, field) => {
  expect(problemsOf(webhook(more))).toContain(field);
});

it('tells the time of sending in whole seconds or not at all', () => {
  expect(sentAtOf({ timestamp: 1_774_970_000 })).toBe(1_774_970_000);
  for (const timestamp of ['1774970000', 1.5, -1, null, 2 ** 60]) expect(sentAtOf({ timestamp })).toBeNull();
});
