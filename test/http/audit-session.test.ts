import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { sealEvents } from '../../src/postgres/audit-seal.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { mintForOnboarding } from '../../src/sharing/mint.ts';
import { importForOnboarding } from '../../src/sharing/redeem.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { testApi, textOf, type Answer, type Brand } from './api.ts';
import { businessDocument, mint, takeIn, userDocument } from './documents.ts';

const api = testApi();

const trail = (reader: Brand | string, sessionId: string): Promise<Answer> =>
  api.call(reader, 'GET', `/v1/audit/sessions/${sessionId}/`);
const listOf = ({ body }: Answer, name: string) => (body[name] as { results: JsonObject[] }).results;
const eventTypes = (answer: Answer) => listOf(answer, 'events').map(({ type }) => type);

async function redeem(partner: Brand, token: string, more: JsonObject = {}): Promise<string> {
  const answer = await api.call(partner, 'POST', '/v3/session/import-shared/', { share_token: token, ...more });
  return textOf(answer, 'session_id');
}

const agreement = (reference: string, validUntil: string | null) => ({
  reference,
  document_sha256: 'ab'.repeat(32),
  legal_basis: 'contract',
  purpose: 'onboarding',
  signer: 'Ada Sample',
  signed_on: '2020-01-31',
  valid_until: validUntil,
});

/** A connection that both sides signed, of which the partner takes over no status. */
async function connect(issuer: Brand, partner: Brand): Promise<string> {
  const body = { partner_application_id: partner.id, agreement: agreement('DSA-1', '2020-12-31') };
  const connectionId = textOf(await api.call(issuer, 'POST', '/v1/connections/', body), 'connection_id');
  await api.call(partner, 'PATCH', `/v1/connections/${connectionId}/`, {
    status: 'active',
    agreement: agreement('DSA-2', null),
  });
  return connectionId;
}

/** An onboarding that the partner has acknowledged. */
async function acknowledged() {
  const [issuer, partner] = [await api.newBrand(), await api.newBrand()];
  const source = await takeIn(api, issuer);
  const started = await api.call(issuer, 'POST', '/v1/onboardings/', {
    session_id: source,
    for_application_id: partner.id,
  });
  const tokenId = textOf(started, 'token_id');
  const tenants = handoffTenants(api.tenants, testSealer, testBlindIndex);
  await tenants.acrossTenants('onboarding', (tx) => mintForOnboarding(tx, tokenId, 1));
  await api.call(partner, 'POST', `/v1/onboardings/${tokenId}/acknowledge/`, { accept: true });
  return { issuer, partner, source, tokenId, tenants };
}

describe('the line of an imported session', () => {
  let issuer: Brand;
  let partner: Brand;
  let connectionId: string;
  let source: string;
  let imported: string;
  beforeAll(async () => {
    [issuer, partner] = [await api.newBrand(), await api.newBrand()];
    connectionId = await connect(issuer, partner);
    source = await takeIn(api, issuer);
    await api.call(issuer, 'POST', `/v3/sessions/${source}/reviews/`, { comment: 'Seen by X' });
    imported = await redeem(partner, await mint(api, issuer, source, partner), { vendor_data: 'mine' });
    await api.call(partner, 'POST', `/v3/sessions/${imported}/reviews/`, { comment: 'Seen by Y' });
    await api.call(partner, 'PATCH', `/v3/session/${imported}/update-status/`, { new_status: 'Declined' });
    await api.tenants.acrossTenants('relay', (sql) => sealEvents(sql, partner.id));
  });

  it('is its source, token, connection, decision, reviews and events in one call', async () => {
    const answer = await trail(partner, imported);
    const name = { application_id: issuer.id, name: 'Test brand' };
    const hop = (answer.body['hops'] as JsonObject[])[0];
    expect(answer).toMatchObject({
      status: 200,
      body: {
        session_id: imported,
        session: { session_kind: 'user', status: 'Declined', first_status: 'In Review', parent_import: null },
        import: {
          issuer: name,
          source_session_id: source,
          token: { token_id: hop?.['token_id'], kid: '2026-11', closed_at: null, closed_as: null },
          deleted_at: null,
          trust_review: false,
          imported_by: { kind: 'api_key', id: partner.keyId },
          acknowledgements: [],
          onboarding: null,
          connection: {
            connection_id: connectionId,
            status: 'active',
            suspended: false,
            agreements: {
              issuer: { reference: 'DSA-1', valid_until: '2020-12-31', in_force: false },
              partner: { reference: 'DSA-2', valid_until: null, in_force: true },
            },
          },
          deliveries: [],
        },
        hops: [{ hop: 1, source_session_id: source, application: name }],
        shares: { count: 0, results: [] },
      },
    });
    expect(JSON.stringify(answer.body)).not.toContain('Ada Sample');
  });

  it('tells reviews that were given here from those that came along', async () => {
    const reviews = listOf(await trail(partner, imported), 'reviews');
    expect(reviews.map(({ comment, origin }) => [comment, origin])).toEqual([
      [null, 'own'],
      ['Seen by Y', 'own'],
      ['Seen by X', 'came_along'],
    ]);
  });

  it('has its events with their places in the chain', async () => {
    const answer = await trail(partner, imported);
    expect(eventTypes(answer)).toEqual(['status.updated', 'session.reviewed', 'status.updated']);
    const positions = listOf(answer, 'events').map(({ place }) => (place as JsonObject | null)?.['position']);
    expect(positions.every((position) => typeof position === 'number')).toBe(true);
  });

  it('of the issuer’s own is who got it and what became of that, and nothing of the partner’s', async () => {
    const answer = await trail(issuer, source);
    expect(answer).toMatchObject({
      status: 200,
      body: { session: { status: 'Approved' }, import: null, hops: [], shares: { count: 1 } },
    });
    expect(listOf(answer, 'shares')).toMatchObject([
      {
        partner: { application_id: partner.id, name: 'Test brand' },
        kid: '2026-11',
        outcome: 'imported',
        minted_by: { kind: 'api_key', id: issuer.keyId },
        connection_id: connectionId,
      },
    ]);
    for (const theirs of [imported, partner.keyId, 'Seen by Y', 'mine']) {
      expect(JSON.stringify(answer.body)).not.toContain(`"${theirs}"`);
    }
  });

  it('names every hop of one that was shared on, and only applications that one is connected with', async () => {
    const third = await api.newBrand();
    const middle = await redeem(partner, await mint(api, issuer, await takeIn(api, issuer), partner), {
      trust_review: true,
    });
    const last = await redeem(third, await mint(api, partner, middle, third), { trust_review: true });
    const answer = await trail(third, last);
    expect(answer.body['hops']).toMatchObject([
      { hop: 1, source_session_id: middle, application: { application_id: partner.id, name: null } },
      { hop: 2, application: { application_id: issuer.id, name: null } },
    ]);
    const between = await trail(partner, middle);
    expect(between.body).toMatchObject({ import: { trust_review: true }, shares: { count: 1 } });
  });

  it('is that of its business for a person that came along', async () => {
    const person = await takeIn(api, issuer, userDocument({ external_id: `person-${randomUUID()}` }));
    const business = businessDocument({
      key_people_checks: [{ status: 'Approved', officers: [{ kyc_session_id: person }] }],
    });
    const token = await mint(api, issuer, await takeIn(api, issuer, business), partner);
    const main = await redeem(partner, token);
    const { rows } = await api.database.pool.query<{ id: string }>(
      'select session_id as id from session where parent_import = $1',
      [main],
    );
    const answer = await trail(partner, rows[0]?.id ?? '');
    expect(answer.body).toMatchObject({
      session: { parent_import: main },
      import: { imported_by: { kind: 'api_key', id: partner.keyId } },
      hops: [{ hop: 1, source_session_id: person }],
    });
    expect(eventTypes(answer)).toContain('session.created');
  });
});

describe('the line of a session', () => {
  it('has the partner’s word, in an onboarding', async () => {
    const { partner, issuer, source, tokenId } = await acknowledged();
    expect(listOf(await trail(issuer, source), 'shares')).toMatchObject([
      {
        token_id: tokenId,
        outcome: 'open',
        acknowledgement: 'unspent',
        minted_by: { kind: 'onboarding', id: tokenId },
      },
    ]);
    expect(eventTypes(await trail(issuer, source))).toEqual(['share.minted', 'onboarding.opened', 'session.created']);
    await api.call(issuer, 'POST', `/v1/onboardings/${tokenId}/revoke/`);
    expect(listOf(await trail(issuer, source), 'shares')).toMatchObject([
      { outcome: 'revoked', closed_reason: 'revoked_by_issuer', acknowledgement: 'refused' },
    ]);
    // The partner never had a session of it, and knows of it by its trail.
    expect((await trail(partner, source)).status).toBe(404);
    const told = await api.call(partner, 'GET', `/v1/audit/?token_id=${tokenId}`);
    expect((told.body['results'] as JsonObject[]).map(({ type }) => type)).toEqual(['acknowledgement.recorded']);
  });

  it('has the run that imported it, and what its destinations were sent', async () => {
    const { partner, tokenId, tenants } = await acknowledged();
    const destination = textOf(
      await api.call(partner, 'POST', '/v3/webhook/destinations/', {
        url: 'https://partner.example/',
        subscribed_events: ['status.updated'],
        enabled: true,
      }),
      'uuid',
    );
    const answer = await tenants.acrossTenants('redeem', (tx) =>
      importForOnboarding(tx, tokenId, 1, { businessStatusCase: 'upper' }),
    );
    const sessionId = answer.state === 'redeemed' ? answer.sessionId : '';
    await api.tenants.acrossTenants('relay', async (sql) => {
      const events = await sql.query<{ id: string }>('select event_id as id from event where token_id = $1', [tokenId]);
      await dispatchEvents(sql, { eventIds: events.map(({ id }) => id) });
    });
    expect((await trail(partner, sessionId)).body['import']).toMatchObject({
      token: { token_id: tokenId },
      imported_by: { kind: 'onboarding', id: tokenId },
      acknowledgements: [{ accept: true, state: 'redeemed', spent_code: null }],
      onboarding: { status: 'imported', acceptance: 'acknowledge', reason: null },
      connection: null,
      deliveries: [{ destination_id: destination, event_type: 'status.updated', state: 'pending', attempts: 0 }],
    });
  });

  it('goes on telling what is known after its deletion', async () => {
    const [issuer, partner] = [await api.newBrand(), await api.newBrand()];
    const source = await takeIn(api, issuer);
    const imported = await redeem(partner, await mint(api, issuer, source, partner));
    for (const [brand, id] of [
      [partner, imported],
      [issuer, source],
    ] as const) {
      expect((await api.call(brand, 'DELETE', `/v3/session/${id}/delete/`)).status).toBe(200);
    }
    const gone = await trail(partner, imported);
    expect(gone).toMatchObject({
      status: 200,
      body: {
        session: null,
        import: { source_session_id: source, deleted_at: expect.any(String), imported_by: { id: partner.keyId } },
        hops: [],
        reviews: { count: 0 },
      },
    });
    expect(eventTypes(gone)).toEqual(['session.deleted', 'status.updated']);
    expect((await trail(issuer, source)).body).toMatchObject({
      session: null,
      import: null,
      shares: { count: 1, results: [{ outcome: 'imported' }] },
    });
  });

  it('is nobody else’s, and needs both privileges', async () => {
    const [issuer, partner] = [await api.newBrand(), await api.newBrand()];
    const source = await takeIn(api, issuer);
    const imported = await redeem(partner, await mint(api, issuer, source, partner));
    const missing = { status: 404, body: { code: 'session_not_found' } };
    for (const [reader, id] of [
      [issuer, imported],
      [partner, source],
      [api.third, source],
      [issuer, randomUUID()],
      [issuer, 'x'],
    ] as const) {
      expect(await trail(reader, id)).toMatchObject(missing);
    }
    for (const privileges of [{ audit: 'read' }, { sessions: 'read' }] as const) {
      expect((await trail(await api.newKey(issuer, privileges), source)).status).toBe(403);
    }
    expect((await trail(await api.newKey(issuer, { audit: 'read', sessions: 'read' }), source)).status).toBe(200);
  });
});
