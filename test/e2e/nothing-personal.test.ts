import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import { SIGNALS } from '../../src/domain/temporal-names.ts';
import { brandsOf, readSample, type Brand, type Brands } from '../support/brands.ts';
import { handoffStack } from '../support/stack.ts';
import { decoded, everythingInTemporal, hits } from '../support/sweep.ts';
import { startServerProcess, startWorkerProcess, type OwnProcess } from '../support/worker-process.ts';

// Real processes at their most talkative, whose logs are read in the end.
const stack = handoffStack({ workers: [] });
const processes: OwnProcess[] = [];
let brands: Brands;

const person = readSample('kyc-approved');
const CANARIES: Record<string, string> = {
  'given name': 'Zoë Marisol',
  'family name': 'Ferrándiz Ibáñez',
  'birth date': '1991-04-17',
  'document number': 'BXX041791',
  'e-mail': 'zoe.ferrandiz@example.com',
  phone: '447700900417',
  'company name': 'Quillmere',
  'director’s document number': '900079210',
  vendor_data: 'crm-0417',
  'company’s vendor_data': 'merchant-0417',
  'partner’s vendor_data': 'canary-their-vendor',
  'partner’s reason': 'canary: not our kind of customer',
  'external id': 'canary-external',
  'value in a database error': 'canary-database-value',
  'field of a bad request': 'canary-bad-request',
  'key of the share tokens': String(stack.shareTokenKeys.split(':')[1]),
};
const tokenIds: string[] = [];
const seenBrands: Brand[] = [];

beforeAll(async () => {
  const env = { ...stack.env, LOG_LEVEL: 'debug' };
  const server = await startServerProcess(env);
  processes.push(server, await startWorkerProcess('onboarding', env), await startWorkerProcess('webhooks', env));
  brands = brandsOf({ databaseUrl: stack.database.url, apiUrl: () => server.url, receiver: stack.receiver });
});
afterAll(async () => {
  for (const process of processes) await process.stop();
});

/** A new partner of a new issuer with an onboarding between them, whose secrets are canaries too. */
async function begin(sessionOf: (issuer: Brand) => Promise<string>) {
  const [issuer, partner] = [await brands.add(), await brands.add()];
  await brands.connect(issuer, partner, { trust_review: true });
  const tokenId = await brands.open(issuer, partner, await sessionOf(issuer));
  tokenIds.push(tokenId);
  seenBrands.push(issuer, partner);
  for (const [name, { key, endpoint }] of Object.entries({ issuer, partner })) {
    CANARIES[`${name}’s API key ${tokenId}`] = key;
    CANARIES[`${name}’s secret ${tokenId}`] = endpoint.secrets?.secret_shared_key ?? '';
    CANARIES[`${name}’s standard secret ${tokenId}`] = endpoint.secrets?.secret_standard_webhooks ?? '';
  }
  const { body } = await partner.endpoint.heard('share.received', tokenId);
  const token = String(body['share_token']);
  CANARIES[`token ${tokenId}`] = token;
  CANARIES[`signature of token ${tokenId}`] = String(token.split('.')[2]);
  return { issuer, partner, tokenId };
}

const aPerson = (changes?: JsonObject) => (issuer: Brand) => brands.takeIn(issuer, 'kyc-approved', changes);

/** Lets the database do something at each row of a table. */
async function onInsert(table: string, statement: string): Promise<void> {
  await stack.database.pool.query(
    `create or replace function planted() returns trigger language plpgsql security definer as $$ begin ${statement}; return new; end $$;
     create trigger planted before insert on ${table} for each row execute function planted()`,
  );
}

/** Waits for an ending without the checks that other files make. */
async function ended(issuer: Brand, tokenId: string): Promise<unknown> {
  await expect.poll(async () => (await brands.read(issuer, tokenId))['ended_at'], { timeout: 30_000 }).not.toBeNull();
  return (await brands.read(issuer, tokenId))['status'];
}

test('handoffs that end in every way', async () => {
  const accepted = await begin(aPerson({ external_id: 'canary-external' }));
  const word = { accept: true, vendor_data: 'canary-their-vendor' };
  expect(await brands.acknowledge(accepted.partner, accepted.tokenId, word)).toMatchObject({ status: 200 });
  expect(await ended(accepted.issuer, accepted.tokenId)).toBe('imported');

  const company = await begin(async (issuer) => (await brands.takeInCompany(issuer)).company);
  expect(await brands.acknowledge(company.partner, company.tokenId)).toMatchObject({ status: 200 });
  expect(await ended(company.issuer, company.tokenId)).toBe('imported');

  const refused = await begin(aPerson());
  const no = { accept: false, reason: 'canary: not our kind of customer' };
  expect(await brands.acknowledge(refused.partner, refused.tokenId, no)).toMatchObject({ status: 200 });
  expect(await ended(refused.issuer, refused.tokenId)).toBe('refused');

  const cancelled = await begin(aPerson());
  await stack.handoff.temporal.workflow.getHandle(cancelled.tokenId).cancel();
  expect(await ended(cancelled.issuer, cancelled.tokenId)).toBe('revoked');

  const rejected = await begin(aPerson());
  // Just after the word, its source is no longer finished.
  await onInsert(
    'acknowledgement',
    `update session set status = 'Resubmitted' where application_id = '${rejected.issuer.id}'`,
  );
  expect(await brands.acknowledge(rejected.partner, rejected.tokenId)).toMatchObject({ status: 200 });
  await stack.database.pool.query('drop trigger planted on acknowledgement');
  expect(await ended(rejected.issuer, rejected.tokenId)).toBe('rejected');
});

test('a database that quotes values, a receiver that fails, and requests that are refused', async () => {
  const { issuer, partner, tokenId } = await begin(aPerson());
  partner.endpoint.script = ({ type }, nth) => (type === 'status.updated' && nth === 1 ? 500 : 204);
  const { pool } = stack.database;
  await onInsert('redemption', `raise exception 'Key (name)=(canary-database-value) is wrong'`);
  expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
  const failures = async () => {
    const { pendingActivities } = (await stack.handoff.temporal.workflow.getHandle(tokenId).describe()).raw;
    return (pendingActivities ?? []).map(({ lastFailure }) => lastFailure?.applicationFailureInfo?.type);
  };
  await expect.poll(failures, { timeout: 30_000 }).toContain('technical');
  const call = { share_token: CANARIES[`token ${tokenId}`] ?? '' };
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject({ status: 500 });
  await pool.query('drop trigger planted on redemption');
  expect(await ended(issuer, tokenId)).toBe('imported');
  const imported = String((await brands.read(partner, tokenId))['imported_session_id']);
  await expect.poll(() => partner.endpoint.all('status.updated', imported).length, { timeout: 30_000 }).toBe(2);

  const wrong = { ...person, session_kind: 'canary-bad-request', status: 'canary-bad-request' };
  expect(await brands.call(issuer, 'POST', '/v1/sessions/', wrong)).toMatchObject({ status: 400 });
  const cut = { share_token: call.share_token.slice(0, -3), vendor_data: 'canary-bad-request' };
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', cut)).toMatchObject({ status: 401 });
});

test('leave nothing personal and no secret in Temporal', async () => {
  // Only a decoded payload holds it.
  const planted = randomUUID();
  const { tokenId, issuer } = await begin(aPerson());
  await stack.handoff.signalOnboarding(tokenId, SIGNALS.tokenRedeemed, planted);
  await brands.revoke(issuer, tokenId);
  await stack.handoff.temporal.workflow.getHandle(tokenId).result();

  const texts = await everythingInTemporal(stack.handoff.temporal, inject('temporalCliPath'));
  expect(texts.join('').includes(planted)).toBe(false);
  const everything = decoded(texts);
  const controls = { planted, ...Object.fromEntries(tokenIds.map((id) => [`token ${id}`, id])) };
  expect(hits(everything, controls)).toEqual(Object.keys(controls));
  expect(Object.values(CANARIES).filter((canary) => canary.length < 7)).toEqual([]);
  expect(hits(everything, CANARIES)).toEqual([]);
});

test('and would be found: the webhooks hold it', () => {
  const bodies = seenBrands.flatMap(({ endpoint }) => endpoint.received.map(({ rawBody }) => rawBody));
  const hidden = Buffer.from(JSON.stringify(bodies)).toString('base64');
  const found = hits(decoded([hidden]), CANARIES);
  expect(found).toEqual(
    expect.arrayContaining([
      'given name',
      'birth date',
      'document number',
      'company name',
      'partner’s vendor_data',
      'partner’s reason',
    ]),
  );
  expect(found.filter((name) => name.startsWith('token '))).toHaveLength(tokenIds.length);
});

test('and none in a log', async () => {
  const logs = processes.map((process) => process.log());
  const everything = decoded(logs);
  const controls = { caller: seenBrands[0]?.id ?? 'none', server: '"code":"P0001"', worker: '"msg":"Activity failed"' };
  expect(hits(everything, controls)).toEqual(Object.keys(controls));
  expect(hits(everything, CANARIES)).toEqual([]);
});
