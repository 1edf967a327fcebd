import { beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Brand } from '../support/brands.ts';
import { expectFinishedSteps, stepsOf } from '../support/runs.ts';
import { signatureProblems, type ScriptedEndpoint } from '../support/scripted-partner.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

/** A new partner and an onboarding that is open for it; with a script, the partner's endpoint answers so. */
async function begin(
  script?: ScriptedEndpoint['script'],
  ttlSeconds?: number,
): Promise<{ partner: Brand; tokenId: string }> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  if (script !== undefined) partner.endpoint.script = script;
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'), ttlSeconds);
  return { partner, tokenId };
}

/** The same, delivered, with the token that the partner got. */
async function beginDelivered(): Promise<{ partner: Brand; tokenId: string; token: string }> {
  const { partner, tokenId } = await begin();
  const { body } = await partner.endpoint.heard('share.received', tokenId);
  await expect.poll(async () => (await stack.brands.read(partner, tokenId))['status']).toBe('waiting');
  return { partner, tokenId, token: String(body['share_token']) };
}

const refuseReceived =
  (status: number): ScriptedEndpoint['script'] =>
  ({ type }) =>
    type === 'share.received' ? status : 204;

// Their minute really passes, while the other tests run.
let delivered: { partner: Brand; tokenId: string };
let refusedByItsEndpoint: { partner: Brand; tokenId: string };
beforeAll(async () => {
  delivered = await begin(undefined, 60);
  refusedByItsEndpoint = await begin(refuseReceived(500), 60);
});

/** Both sides' calls after an ending: too late, and the token redeems no more. */
async function expectTooLate(partner: Brand, tokenId: string, token: string, status: string, redeem: JsonObject) {
  const { brands, issuer } = stack;
  const late = { status: 409, body: { code: 'onboarding_ended', status } };
  expect(await brands.acknowledge(partner, tokenId)).toMatchObject(late);
  expect(await brands.acknowledge(partner, tokenId, { accept: false })).toMatchObject(late);
  expect(await brands.revoke(issuer, tokenId)).toMatchObject(status === 'revoked' ? { status: 200 } : late);
  const call = { share_token: token };
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject(redeem);
}
const revokedToken = { status: 401, body: { code: 'share_token_revoked' } };

describe('refused', () => {
  test.for([
    { said: {}, shown: 'refused_by_partner' },
    { said: { reason: 'Not our kind of customer' }, shown: 'Not our kind of customer' },
  ])('by the partner, and the reason shown is "$shown"', async ({ said, shown }) => {
    const { brands, issuer } = stack;
    const { partner, tokenId, token } = await beginDelivered();
    expect(await brands.acknowledge(partner, tokenId, { accept: false, ...said })).toMatchObject({
      status: 200,
      body: { status: 'refused', reason: shown },
    });
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'refused',
      reason: 'refused_by_partner',
      shownReason: shown,
    });
    expect(stepsOf(issuerView)).toMatchObject({ wait: { result: 'refused_by_partner' } });
    const told = await issuer.endpoint.heard('share.refused', tokenId);
    expect(told.body['partner_reason']).toBe(said.reason);
    await partner.endpoint.heard('share.refused', tokenId);
    await expectTooLate(partner, tokenId, token, 'refused', revokedToken);
  });

  test('instead of an acceptance that was not carried out yet, which it withdraws', async () => {
    const { brands, database } = stack;
    const { partner, tokenId } = await beginDelivered();
    await stack.stopWorker('onboarding');
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    expect(await brands.acknowledge(partner, tokenId, { accept: false })).toMatchObject({ status: 200 });
    await stack.startWorker('onboarding');
    await stack.expectEnding(partner, tokenId, { status: 'refused', reason: 'refused_by_partner' });
    const { rows } = await database.pool.query(
      'select accept, state from acknowledgement where token_id = $1 order by created_at',
      [tokenId],
    );
    expect(rows).toEqual([
      { accept: true, state: 'withdrawn' },
      { accept: false, state: 'refused' },
    ]);
  });
});

describe('revoked', () => {
  test('while the delivery is being retried', async () => {
    const { brands, issuer } = stack;
    const { partner, tokenId } = await begin(refuseReceived(500));
    const { body } = await partner.endpoint.heard('share.received', tokenId);
    expect(await brands.revoke(issuer, tokenId)).toMatchObject({ status: 200, body: { status: 'revoked' } });
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'revoked',
      reason: 'revoked_by_issuer',
    });
    expect(stepsOf(issuerView)).toMatchObject({ deliver: { result: 'revoked_by_issuer' } });
    await partner.endpoint.heard('share.revoked', tokenId);
    await expectTooLate(partner, tokenId, String(body['share_token']), 'revoked', revokedToken);
  });

  test('while the partner is answering the delivery', async () => {
    const { brands, issuer } = stack;
    const revoked = Promise.withResolvers<number>();
    const { partner, tokenId } = await begin(({ type }) => (type === 'share.received' ? revoked.promise : 204));
    await partner.endpoint.heard('share.received', tokenId);
    expect(await brands.revoke(issuer, tokenId)).toMatchObject({ status: 200 });
    revoked.resolve(204);
    await stack.expectEnding(partner, tokenId, { status: 'revoked', reason: 'revoked_by_issuer' });
    await partner.endpoint.heard('share.revoked', tokenId);
    const attempts = () =>
      stack.database.pool
        .query(`select state from delivery_attempt where application_id = $1 and trigger = 'auto'`, [partner.id])
        .then(({ rows }) => rows);
    await expect.poll(attempts).toEqual([{ state: 'delivered' }, { state: 'delivered' }]);
    expectFinishedSteps(await brands.read(partner, tokenId));
  });

  test('after the delivery', async () => {
    const { brands, issuer } = stack;
    const { partner, tokenId, token } = await beginDelivered();
    expect(await brands.revoke(issuer, tokenId)).toMatchObject({ status: 200 });
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'revoked',
      reason: 'revoked_by_issuer',
    });
    expect(stepsOf(issuerView)).toMatchObject({ wait: { result: 'revoked_by_issuer' } });
    await issuer.endpoint.heard('share.revoked', tokenId);
    await partner.endpoint.heard('share.revoked', tokenId);
    await expectTooLate(partner, tokenId, token, 'revoked', revokedToken);
    expect(signatureProblems(partner.endpoint)).toEqual([]);
  });
});

describe('undeliverable', () => {
  test('when the endpoint is gone: the destination is disabled', async () => {
    const { brands, issuer } = stack;
    const { partner, tokenId } = await begin(refuseReceived(410));
    await stack.expectEnding(partner, tokenId, { status: 'undeliverable', reason: 'gone' });
    const destination = await brands.done(partner, 'GET', `/v3/webhook/destinations/${partner.destinationId}/`);
    expect(destination['enabled']).toBe(false);
    const told = await issuer.endpoint.heard('share.undeliverable', tokenId);
    expect(told.body['reason']).toBe('gone');
    expect(partner.endpoint.received).toHaveLength(1);
  });

  test('when the partner has no destination', async () => {
    const { brands, issuer } = stack;
    const partner = await brands.add({ destination: false });
    const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
    await stack.expectEnding(partner, tokenId, { status: 'undeliverable', reason: 'no_destination' });
  });

  test('when its address is private and not in the allow list: nobody dials it', async () => {
    const { brands, issuer, database } = stack;
    const partner = await brands.add();
    const forbidden = partner.endpoint.url.replace('127.0.0.1', '[::1]');
    await database.pool.query('update webhook_destination set url = $2 where application_id = $1', [
      partner.id,
      forbidden,
    ]);
    const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'));
    await stack.expectEnding(partner, tokenId, { status: 'undeliverable', reason: 'blocked_address' });
    const { rows } = await database.pool.query(
      `select a.reason, a.connected_ip from delivery_attempt a join delivery d using (delivery_id)
         join event e using (event_id) where e.token_id = $1 and e.type = 'share.received'`,
      [tokenId],
    );
    expect(rows).toEqual([{ reason: 'blocked_address', connected_ip: null }]);
  });
});

describe('acknowledged', () => {
  test('while the delivery is being retried: the word counts at once', async () => {
    const { brands } = stack;
    const { partner, tokenId } = await begin(refuseReceived(500));
    await partner.endpoint.heard('share.received', tokenId);
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    const { issuerView } = await stack.expectEnding(partner, tokenId, { status: 'imported' });
    expect(stepsOf(issuerView)).toMatchObject({
      deliver: { result: 'stopped' },
      wait: { result: 'acknowledged' },
      import: { result: 'imported' },
    });
    await partner.endpoint.heard('share.imported', tokenId);
  });

  test('twice: the same word is one, another is refused', async () => {
    const { brands, database } = stack;
    const { partner, tokenId, token } = await beginDelivered();
    await stack.stopWorker('onboarding');
    const word = { accept: true, vendor_data: 'theirs' };
    const first = await brands.acknowledge(partner, tokenId, word);
    expect(first).toMatchObject({ status: 200, body: { acknowledgement: { accept: true, state: 'unspent' } } });
    expect(await brands.acknowledge(partner, tokenId, { vendor_data: 'theirs', accept: true })).toEqual(first);
    expect(await brands.acknowledge(partner, tokenId, { accept: true })).toMatchObject({
      status: 409,
      body: { code: 'acknowledgement_conflict' },
    });
    await stack.startWorker('onboarding');
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
    const { rows } = await database.pool.query('select state from acknowledgement where token_id = $1', [tokenId]);
    expect(rows).toEqual([{ state: 'redeemed' }]);
    const used = { status: 403, body: { code: 'already_imported' } };
    await expectTooLate(partner, tokenId, token, 'imported', used);
  });

  test('by nobody but the partner; and nobody but the issuer revokes', async () => {
    const { brands, issuer } = stack;
    const { partner, tokenId } = await beginDelivered();
    const stranger = await brands.add({ destination: false });
    const unknown = { status: 404, body: { code: 'unknown_onboarding' } };
    for (const brand of [issuer, stranger]) expect(await brands.acknowledge(brand, tokenId)).toMatchObject(unknown);
    for (const brand of [partner, stranger]) expect(await brands.revoke(brand, tokenId)).toMatchObject(unknown);
    await brands.acknowledge(partner, tokenId);
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });
});

describe('a minute later', () => {
  test('a delivered token has expired', { timeout: 90_000 }, async () => {
    const { partner, tokenId } = delivered;
    await stack.expectEnding(partner, tokenId, { status: 'expired' });
    await stack.issuer.endpoint.heard('share.expired', tokenId);
    await partner.endpoint.heard('share.expired', tokenId);
    const [received] = partner.endpoint.all('share.received', tokenId);
    await expectTooLate(partner, tokenId, String(received?.body['share_token']), 'expired', {
      status: 401,
      body: { code: 'share_token_expired' },
    });
  });

  test('one whose delivery kept failing is undeliverable', { timeout: 90_000 }, async () => {
    const { partner, tokenId } = refusedByItsEndpoint;
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'undeliverable',
      reason: 'token_expired',
    });
    const attempts = partner.endpoint.all('share.received', tokenId);
    expect(attempts.length).toBeGreaterThan(2);
    expect(stepsOf(issuerView)).toMatchObject({ deliver: { attempts: attempts.length, result: 'token_expired' } });
    expect(new Set(attempts.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(attempts.map(({ headers }) => headers['webhook-attempt'])).toEqual(
      attempts.map((_, index) => `${index + 1}`),
    );
    expect(signatureProblems(partner.endpoint)).toEqual([]);
  });
});

test('no wish is left over once every onboarding has ended', async () => {
  const left = () => stack.database.pool.query('select wish, token_id from outbox').then(({ rows }) => rows);
  await expect.poll(left, { timeout: 20_000 }).toEqual([]);
});
