import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { sampleDocument, shareLab } from '../support/share-lab.ts';

const lab = shareLab();
const SAMPLES = [
  'kyc-approved',
  'kyc-approved-non-latin',
  'kyc-declined',
  'kyc-in-review',
  'kyc-director',
  'kyc-owner',
  'kyb-approved',
  'kyb-in-review',
];

/** Members of a decision that an import has of its own (contract rows 11, 12, 16, 29). */
const OWN = ['session_id', 'session_number', 'shared_from_session', 'workflow_id', 'created_at', 'expires_at'];
const HOME = ['session_url', 'metadata', 'callback', 'contact_details', 'expected_details'];

/** What an import of this decision looks like, but for the members of its own. */
function importOf(decision: JsonObject, person: (id: string) => string | null): JsonObject {
  const shared = withoutHome(decision, '', person) as JsonObject;
  for (const key of HOME) shared[key] = null;
  for (const key of OWN) delete shared[key];
  return shared;
}

function withoutHome(value: JsonValue, path: string, person: (id: string) => string | null): JsonValue {
  if (Array.isArray(value)) return value.map((item) => withoutHome(item, path, person));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => {
    const here = `${path}/${key}`;
    if (key === 'kyc_session_id') return [key, typeof member === 'string' ? person(member) : member];
    const stays =
      key === 'matches' ||
      /(^|_)session_(url|token)$/.test(key) ||
      (path.includes('/additional_data') && key.startsWith('duplicated_')) ||
      (path.startsWith('/reviews') &&
        ['user', 'actor_email', 'actor_name', 'actor_display', 'mentioned_emails'].includes(key));
    if (stays) return [key, Array.isArray(member) ? [] : null];
    return [key, withoutHome(member, here, person)];
  });
  return Object.fromEntries(entries) as JsonObject;
}

function without(decision: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(decision).filter(([key]) => !keys.includes(key)));
}

describe('a clone', () => {
  it.each(SAMPLES)('of %s is the source in every field but those that are its own or stay home', async (name) => {
    const [from, to] = [await lab.newBrand(), await lab.newBrand()];
    await lab.takeIn(sampleDocument('kyc-director', { external_id: 'sample-kyc-director' }), from);
    await lab.takeIn(sampleDocument('kyc-owner', { external_id: 'sample-kyc-owner' }), from);
    const source = await lab.takeIn(sampleDocument(name), from);
    const decision = await lab.decision(from, source);
    if (decision === null) throw new Error('the source is there');

    const imported = await lab.redeem((await lab.mint(source, { from, to })).tokenId, { trustReview: true }, to);

    const clones = await lab.rows<{ session_id: string; shared_from_session: string }>(
      'select session_id, shared_from_session from session where parent_import = $1',
      [imported.sessionId],
    );
    const cloneOf = new Map(clones.map((clone) => [clone.shared_from_session, clone.session_id]));
    expect(without(imported.decision, OWN)).toEqual(importOf(decision, (id) => cloneOf.get(id) ?? null));
    expect(imported.decision).toMatchObject({
      session_id: imported.sessionId,
      session_number: 1,
      shared_from_session: source,
      workflow_id: to.workflows[name.startsWith('kyb') ? 'business' : 'user'],
    });
    // The answer and what is read later are one and the same, down to the order of the members.
    expect(JSON.stringify(await lab.decision(to, imported.sessionId))).toBe(JSON.stringify(imported.decision));
    expect(Object.keys(imported.decision)).toEqual(Object.keys(decision));
  });

  it('is dated by its import and expires seven days after', async () => {
    const { decision } = await lab.redeem((await lab.mint(await lab.takeIn(sampleDocument('kyc-approved')))).tokenId);
    const [created, expires] = [String(decision['created_at']), String(decision['expires_at'])];
    expect(created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(expires.slice(10)).toBe(created.slice(10));
    expect(Date.parse(expires) - Date.parse(created)).toBe(7 * 86_400_000);
  });

  it('has the source’s columns, and neither its external id nor its settings', async () => {
    const source = await lab.takeIn(sampleDocument('kyc-approved', { external_id: 'crm-of-the-issuer' }));
    const imported = await lab.redeem((await lab.mint(source)).tokenId, { trustReview: true });
    const columns = `session_kind, status, environment, features, nfc_skip_reason, document_expires_on::text`;
    const of = (sessionId: string) => lab.rows(`select ${columns} from session where session_id = $1`, [sessionId]);
    expect(await of(imported.sessionId)).toEqual(await of(source));
    expect(
      await lab.rows('select external_id, parent_import, shared_from_session from session where session_id = $1', [
        imported.sessionId,
      ]),
    ).toEqual([{ external_id: null, parent_import: null, shared_from_session: source }]);
    expect(await lab.rows('select 1 from session_home where session_id = $1', [imported.sessionId])).toEqual([]);
  });

  it('has the sealed checks byte for byte, under the partner', async () => {
    const source = await lab.takeIn(sampleDocument('kyb-approved'));
    const imported = await lab.redeem((await lab.mint(source)).tokenId);
    const checks = (sessionId: string) =>
      lab.rows<{ application_id: string; payload: Buffer }>(
        'select category, position, payload, application_id from session_check where session_id = $1 order by 1, 2',
        [sessionId],
      );
    const [sources, clones] = [await checks(source), await checks(imported.sessionId)];
    expect(clones.length).toBeGreaterThan(8);
    expect(clones.map(({ application_id: _own, ...check }) => check)).toEqual(
      sources.map(({ application_id: _own, ...check }) => check),
    );
    expect(new Set(clones.map(({ application_id }) => application_id))).toEqual(new Set([lab.partner.id]));
    expect(
      await lab.rows('select distinct reference from session_person where session_id = $1', [imported.sessionId]),
    ).toEqual([{ reference: null }]);
  });

  it('is of the source as it is at the import, and does not follow it afterwards', async () => {
    const source = await lab.takeIn(sampleDocument('kyc-approved'));
    const { tokenId } = await lab.mint(source);
    await lab.rows(`update session set status = 'Declined', features = '{LIVENESS}' where session_id = $1`, [source]);
    const imported = await lab.redeem(tokenId, { trustReview: true });
    expect(imported.decision).toMatchObject({ status: 'Declined', features: ['LIVENESS'] });
    await lab.rows(`update session set status = 'Approved' where session_id = $1`, [source]);
    await lab.rows(`update session_check set payload = '\\x00' where session_id = $1`, [source]);
    expect(await lab.decision(lab.partner, imported.sessionId)).toEqual(imported.decision);
  });
});
