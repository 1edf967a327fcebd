import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../support/brands.ts';
import { stepsOf } from '../support/runs.ts';
import { signatureProblems } from '../support/scripted-partner.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

/** Hands a session over, waits for `share.received`, lets `accept` have the partner's word, and expects the import. */
async function handOver(
  partner: Brand,
  sessionId: string,
  accept: (tokenId: string, received: JsonObject) => Promise<unknown>,
): Promise<{ tokenId: string; imported: JsonObject; issuerView: JsonObject }> {
  const { brands, issuer } = stack;
  const tokenId = await brands.open(issuer, partner, sessionId);
  const received = await partner.endpoint.heard('share.received', tokenId);
  await accept(tokenId, received.body);
  const { importedSessionId, issuerView } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
  return { tokenId, issuerView, imported: await decision(partner, importedSessionId) };
}

const acknowledge =
  (partner: Brand, body: JsonObject = { accept: true }) =>
  async (tokenId: string) =>
    expect(await stack.brands.acknowledge(partner, tokenId, body)).toMatchObject({ status: 200 });

const redeem =
  (partner: Brand, body: JsonObject = {}) =>
  async (_tokenId: string, { share_token: token }: JsonObject) => {
    const call = { share_token: token ?? null, ...body };
    expect(await stack.brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject({ status: 201 });
  };

function decision(as: Brand, sessionId: unknown): Promise<JsonObject> {
  return stack.brands.done(as, 'GET', `/v3/session/${String(sessionId)}/decision/`);
}

async function entitiesOf(partner: Brand): Promise<unknown[]> {
  const { rows } = await stack.database.pool.query<{ entity: string }>(
    `select session_kind || ' ' || vendor_data as entity from entity where application_id = $1 order by 1`,
    [partner.id],
  );
  return rows.map(({ entity }) => entity);
}

describe('a person, acknowledged', () => {
  test('is imported, and both sides hear of it in webhooks that verify', async () => {
    const { brands, issuer } = stack;
    const partner = await brands.add();
    await brands.connect(issuer, partner, { trust_review: true });
    const source = await brands.takeIn(issuer, 'kyc-approved');
    const { tokenId, imported, issuerView } = await handOver(partner, source, acknowledge(partner));

    const importedId = String(imported['session_id']);
    expect(imported).toMatchObject({
      status: 'Approved',
      shared_from_session: source,
      workflow_id: partner.workflows.user,
      vendor_data: `${issuer.id}:crm-0417`,
    });
    expect(imported['id_verifications']).toMatchObject([{ document_number: 'BXX041791' }]);
    expect(await entitiesOf(partner)).toEqual([`user ${issuer.id}:crm-0417`]);
    expect(stepsOf(issuerView)).toMatchObject({
      mint: { result: 'minted', attempts: 1 },
      deliver: { result: 'delivered', attempts: 1 },
      wait: { result: 'acknowledged', attempts: 1 },
      import: { result: 'imported', attempts: 1 },
      notify: { result: 'notified', attempts: 1 },
    });

    const atPartner = await Promise.all([
      partner.endpoint.heard('share.received', tokenId),
      partner.endpoint.heard('status.updated', importedId),
      partner.endpoint.heard('share.imported', tokenId),
    ]);
    const atIssuer = await Promise.all([
      issuer.endpoint.heard('share.minted', tokenId),
      issuer.endpoint.heard('share.imported', tokenId),
    ]);
    const [received, updated, told] = atPartner.map(({ body }) => body);
    expect(received).toMatchObject({
      share_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      acceptance: 'acknowledge',
    });
    expect(updated).toMatchObject({ session_id: importedId, status: 'Approved', decision: imported });
    expect(told).toMatchObject({ session_id: importedId });
    expect(atIssuer.map(({ body }) => body['session_id'])).toEqual([source, source]);
    for (const brand of [partner, issuer]) expect(signatureProblems(brand.endpoint)).toEqual([]);
    expect(partner.endpoint.received).toHaveLength(3);
    expect(issuer.endpoint.received.filter(({ body }) => body['token_id'] === tokenId)).toHaveLength(2);
  });

  test.for([
    { connection: true, word: undefined, status: 'Approved' },
    { connection: true, word: false, status: 'In Review' },
    { connection: false, word: undefined, status: 'In Review' },
    { connection: false, word: true, status: 'Approved' },
    { connection: null, word: undefined, status: 'In Review' },
  ])(
    'trust_review $connection on the connection and $word in the word: $status',
    async ({ connection, word, status }) => {
      const { brands, issuer } = stack;
      const partner = await brands.add();
      if (connection !== null) await brands.connect(issuer, partner, { trust_review: connection });
      const source = await brands.takeIn(issuer, 'kyc-approved');
      const said = { accept: true, ...(word !== undefined && { trust_review: word }) };
      const { imported } = await handOver(partner, source, acknowledge(partner, said));
      expect(imported['status']).toBe(status);
    },
  );

  test('goes under the workflow and the vendor_data of the partner’s word', async () => {
    const { brands, issuer, database } = stack;
    const partner = await brands.add();
    await brands.connect(issuer, partner, {});
    const { rows } = await database.pool.query<{ id: string }>(
      `insert into verification_workflow (workflow_id, application_id, label, session_kind)
       values (gen_random_uuid(), $1, 'other', 'user') returning workflow_id as id`,
      [partner.id],
    );
    const word = { accept: true, workflow_id: rows[0]?.id ?? '', vendor_data: 'our-77' };
    const { imported } = await handOver(
      partner,
      await brands.takeIn(issuer, 'kyc-approved'),
      acknowledge(partner, word),
    );
    expect(imported).toMatchObject({ workflow_id: word.workflow_id, vendor_data: 'our-77' });
    const none = { accept: true, vendor_data: null };
    const second = await handOver(partner, await brands.takeIn(issuer, 'kyc-approved'), acknowledge(partner, none));
    expect(second.imported).toMatchObject({ workflow_id: partner.workflows.user, vendor_data: null });
    expect(await entitiesOf(partner)).toEqual(['user our-77']);
  });

  test('keeps its vendor_data when the connection says so', async () => {
    const { brands, issuer } = stack;
    const partner = await brands.add();
    await brands.connect(issuer, partner, { vendor_data_rule: 'same' });
    const { imported } = await handOver(partner, await brands.takeIn(issuer, 'kyc-approved'), acknowledge(partner));
    expect(imported['vendor_data']).toBe('crm-0417');
  });
});

test('a company is imported with its people', async () => {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  await brands.connect(issuer, partner, { trust_review: true });
  const { company, director, owner } = await brands.takeInCompany(issuer);
  const { tokenId, imported } = await handOver(partner, company, acknowledge(partner));
  expect(imported).toMatchObject({
    session_kind: 'business',
    status: 'APPROVED',
    workflow_id: partner.workflows.business,
  });

  const people = [...new Set(JSON.stringify(imported).match(/(?<="kyc_session_id":")[^"]+/g))];
  expect(people).toHaveLength(2);
  const clones = await Promise.all(people.map((sessionId) => decision(partner, sessionId)));
  expect(new Set(clones.map((clone) => clone['shared_from_session']))).toEqual(new Set([director, owner]));
  for (const clone of clones) expect(clone).toMatchObject({ status: 'Approved', workflow_id: partner.workflows.user });
  expect(await entitiesOf(partner)).toEqual([
    `business ${issuer.id}:merchant-0417`,
    `user ${issuer.id}:director-1`,
    `user ${issuer.id}:owner-1`,
  ]);
  const updated = await partner.endpoint.heard('status.updated', String(imported['session_id']));
  expect(updated.body).toMatchObject({ session_kind: 'business', status: 'APPROVED' });
  await partner.endpoint.heard('share.imported', tokenId);
  expect(partner.endpoint.received.map(({ type }) => type).sort()).toEqual([
    'share.imported',
    'share.received',
    'status.updated',
  ]);
  expect(signatureProblems(partner.endpoint)).toEqual([]);
});

describe('automatic', () => {
  test('imports at once; the partner gets a notice without a token', async () => {
    const { brands, issuer } = stack;
    const partner = await brands.add();
    await brands.connect(issuer, partner, { acceptance: 'automatic', trust_review: true });
    const { imported, tokenId, issuerView } = await handOver(
      partner,
      await brands.takeIn(issuer, 'kyc-approved'),
      async () => {},
    );
    expect(imported['status']).toBe('Approved');
    expect(issuerView).toMatchObject({ acceptance: 'automatic', acknowledgement: null });
    expect(stepsOf(issuerView)).toMatchObject({ import: { result: 'imported' } });
    await partner.endpoint.heard('share.imported', tokenId);
    const [received] = partner.endpoint.all('share.received', tokenId);
    expect(received?.body).toMatchObject({ acceptance: 'automatic' });
    expect(received?.body).not.toHaveProperty('share_token');
    expect(signatureProblems(partner.endpoint)).toEqual([]);
  });

  test.for([
    { notice: 'is refused', destination: true },
    { notice: 'has nowhere to go', destination: false },
  ])('imports though the notice $notice', async ({ destination }) => {
    const { brands, issuer } = stack;
    const partner = await brands.add({ destination });
    partner.endpoint.script = ({ type }) => (type === 'share.received' ? 500 : 204);
    await brands.connect(issuer, partner, { acceptance: 'automatic' });
    const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-in-review'));
    const { issuerView } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
    expect(stepsOf(issuerView)).toMatchObject({ deliver: { result: 'noticed' } });
  });
});

describe('redeemed by the partner’s own import call', () => {
  test.for(['redeem', 'acknowledge'] as const)('in the mode %s, with the token of the webhook', async (acceptance) => {
    const { brands, issuer } = stack;
    const partner = await brands.add();
    await brands.connect(issuer, partner, { acceptance, trust_review: true });
    const source = await brands.takeIn(issuer, 'kyc-approved');
    const call = redeem(partner, { trust_review: true, vendor_data: 'own' });
    const { imported, tokenId, issuerView } = await handOver(partner, source, async (token, received) => {
      if (acceptance === 'redeem') {
        expect(await brands.acknowledge(partner, token)).toMatchObject({
          status: 409,
          body: { code: 'acceptance_mode' },
        });
      }
      await call(token, received);
    });
    expect(imported).toMatchObject({ status: 'Approved', vendor_data: 'own', shared_from_session: source });
    expect(stepsOf(issuerView)).toMatchObject({ wait: { result: 'redeemed' }, import: { result: 'imported' } });
    await issuer.endpoint.heard('share.imported', tokenId);
    const again = { share_token: partner.endpoint.all('share.received', tokenId)[0]?.body['share_token'] ?? null };
    expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', again)).toMatchObject({
      status: 403,
      body: { code: 'already_imported' },
    });
  });
});
