import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { startDevTemporal, type DevTemporal } from '../../src/dev/dev-temporal.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { SIGNALS } from '../../src/domain/temporal-names.ts';
import type { Brand } from '../support/brands.ts';
import { shiftClock } from '../support/database.ts';
import { expectOneOfEach } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const folder = mkdtempSync(join(tmpdir(), 'handoff-temporal-down-'));
const port = await freePort();
let temporal: DevTemporal;

/** Starts this file's own Temporal, on the same port and data each time. */
async function startTemporal(): Promise<void> {
  temporal = await startDevTemporal({
    binary: inject('temporalCliPath'),
    dataFile: join(folder, 'temporal.db'),
    port,
    headless: true,
    logFile: join(folder, 'temporal.log'),
  });
  process.env['TEMPORAL_ADDRESS'] = temporal.address;
  process.env['TEMPORAL_NAMESPACE'] = 'default';
}

// Registered before the stack's own, so that it comes after it.
afterAll(async () => {
  await temporal.stop();
  rmSync(folder, { recursive: true });
});
const stack = handoffStack({ useTemporal: startTemporal });

interface Begun {
  readonly partner: Brand;
  readonly tokenId: string;
}

const NAMES = [
  'acknowledged',
  'refused',
  'revoked',
  'redeemed',
  'expired',
  'untouched',
  'new',
  'new and revoked',
] as const;
const begun = new Map<(typeof NAMES)[number], Begun>();

async function begin(name: (typeof NAMES)[number], ttlSeconds?: number): Promise<Begun> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'), ttlSeconds);
  const one = { partner, tokenId };
  begun.set(name, one);
  return one;
}

async function waiting({ partner, tokenId }: Begun): Promise<string> {
  const { body } = await partner.endpoint.heard('share.received', tokenId);
  await expect.poll(async () => (await stack.handoff.queryOnboarding(tokenId)).status).toBe('waiting');
  return String(body['share_token']);
}

async function readiness(): Promise<unknown> {
  const response = await fetch(new URL('/readyz', stack.apiUrl));
  return ((await response.json()) as JsonObject)['checks'];
}

function the(name: (typeof NAMES)[number]): Begun {
  const one = begun.get(name);
  if (one === undefined) throw new Error(`the test before did not begin the onboarding "${name}"`);
  return one;
}

test('with Temporal down every call is still answered', { timeout: 120_000 }, async () => {
  const { brands, issuer, database } = stack;
  const tokens = new Map<string, string>();
  for (const name of NAMES.slice(0, 6)) {
    tokens.set(name, await waiting(await begin(name, name === 'expired' ? 60 : undefined)));
  }
  await temporal.stop();

  const accepted = the('acknowledged');
  expect(await brands.acknowledge(accepted.partner, accepted.tokenId)).toMatchObject({ status: 200 });
  const refused = the('refused');
  const no = { accept: false };
  expect(await brands.acknowledge(refused.partner, refused.tokenId, no)).toMatchObject({ body: { status: 'refused' } });
  expect(await brands.revoke(issuer, the('revoked').tokenId)).toMatchObject({ body: { status: 'revoked' } });
  const call = { share_token: tokens.get('redeemed') ?? '' };
  expect(await brands.call(the('redeemed').partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject({
    status: 201,
  });
  await begin('new');
  expect(await brands.read(issuer, the('new').tokenId)).toMatchObject({ status: 'minting', expires_at: null });
  const both = await begin('new and revoked');
  expect(await brands.revoke(issuer, both.tokenId)).toMatchObject({ body: { status: 'revoked' } });

  // The plain calls know nothing of Temporal anyway.
  const partner = await brands.add();
  const path = `/v3/session/${await brands.takeIn(issuer, 'kyc-approved')}/share/`;
  const minted = await brands.done(issuer, 'POST', path, { for_application_id: partner.id });
  const plain = { share_token: minted['share_token'] ?? '' };
  expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', plain)).toMatchObject({ status: 201 });

  await shiftClock(database.pool, '61 seconds');
  expect(await brands.acknowledge(the('expired').partner, the('expired').tokenId)).toMatchObject({
    status: 409,
    body: { status: 'expired' },
  });
  // What is written down does not wait for Temporal: the sender tells of the endings.
  await issuer.endpoint.heard('share.revoked', the('revoked').tokenId);
  await issuer.endpoint.heard('share.imported', the('redeemed').tokenId);
  expect(await readiness()).toMatchObject({ database: 'ok', temporal: expect.stringContaining('does not answer') });
  // Whoever made the wishes has given them up, and the relay has tried them in vain.
  const untried = () =>
    database.pool
      .query(`select wish from outbox where wish in ('start', 'signal') and attempts = 0`)
      .then(({ rows }) => rows);
  await expect.poll(untried, { timeout: 30_000 }).toEqual([]);
});

describe('once it is back', () => {
  test('it is found again', async () => {
    await startTemporal();
    await expect.poll(readiness, { timeout: 60_000 }).toMatchObject({ temporal: 'ok', search_attributes: 'ok' });
  });

  test.for([
    ['acknowledged', { status: 'imported' }],
    ['refused', { status: 'refused', reason: 'refused_by_partner' }],
    ['revoked', { status: 'revoked', reason: 'revoked_by_issuer' }],
    ['redeemed', { status: 'imported' }],
  ] as const)('the onboarding that was %s meanwhile ends so', async ([name, ending]) => {
    const { partner, tokenId } = the(name);
    await stack.expectEnding(partner, tokenId, ending);
  });

  test('the one whose token ran out meanwhile has expired', async () => {
    const { partner, tokenId } = the('expired');
    // Its timer runs on a clock that cannot be shifted; a message makes it look.
    await stack.handoff.signalOnboarding(tokenId, SIGNALS.tokenRedeemed, randomUUID());
    await stack.expectEnding(partner, tokenId, { status: 'expired' });
  });

  test.for(['untouched', 'new'] as const)('the %s one goes on to its import', async (name) => {
    const { partner, tokenId } = the(name);
    await partner.endpoint.heard('share.received', tokenId);
    expect(await stack.brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });

  test('the one that began and was revoked meanwhile needs no run', async () => {
    const { tokenId } = the('new and revoked');
    // One may have been started in the moment between, and then it has ended.
    await expect.poll(() => stack.handoff.describeOnboarding(tokenId)).toMatch(/^(unknown|completed)$/);
    await stack.issuer.endpoint.heard('share.revoked', tokenId);
    await expectOneOfEach(stack.database.pool, tokenId, 'revoked');
  });

  test('no wish is left over', async () => {
    const left = () => stack.database.pool.query('select wish, token_id from outbox').then(({ rows }) => rows);
    await expect.poll(left, { timeout: 30_000 }).toEqual([]);
  });
});
