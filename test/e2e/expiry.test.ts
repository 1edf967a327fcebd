import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SIGNALS } from '../../src/domain/temporal-names.ts';
import type { Brand } from '../support/brands.ts';
import { shiftClock } from '../support/database.ts';
import { stepsOf } from '../support/runs.ts';
import { handoffStack } from '../support/stack.ts';

const stack = handoffStack();

/** A new partner and an onboarding of one minute for it, once its webhook has arrived. */
async function begin(reply = 204): Promise<{ partner: Brand; tokenId: string; token: string }> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  partner.endpoint.script = ({ type }) => (type === 'share.received' ? reply : 204);
  const tokenId = await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved'), 60);
  const { body } = await partner.endpoint.heard('share.received', tokenId);
  const reached = reply === 204 ? 'waiting' : 'delivering';
  await expect.poll(async () => (await brands.read(partner, tokenId))['status']).toBe(reached);
  return { partner, tokenId, token: String(body['share_token']) };
}

/** Makes a run look at its token before its timer does, which runs on a clock that cannot be shifted: by a message about nothing. */
async function wake(tokenId: string): Promise<void> {
  expect(await stack.handoff.signalOnboarding(tokenId, SIGNALS.tokenRedeemed, randomUUID())).toBe('signalled');
}

const expiredToken = { status: 401, body: { code: 'share_token_expired' } };

describe('past its expiry', () => {
  test('a token counts as expired at once, before its run knows', async () => {
    const { brands, issuer, database } = stack;
    const { partner, tokenId, token } = await begin();
    await shiftClock(database.pool, '61 seconds');
    const late = { status: 409, body: { code: 'onboarding_ended', status: 'expired' } };
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject(late);
    expect(await brands.revoke(issuer, tokenId)).toMatchObject(late);
    const call = { share_token: token };
    expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject(expiredToken);
    expect(await brands.read(partner, tokenId)).toMatchObject({ status: 'waiting', ended_at: null });

    await wake(tokenId);
    const { issuerView } = await stack.expectEnding(partner, tokenId, { status: 'expired' });
    expect(stepsOf(issuerView)).toMatchObject({ wait: { result: 'expired' } });
    await issuer.endpoint.heard('share.expired', tokenId);
    await partner.endpoint.heard('share.expired', tokenId);
  });

  test('a token that nobody ever took is undeliverable', async () => {
    const { issuer, database } = stack;
    const { partner, tokenId } = await begin(500);
    await shiftClock(database.pool, '61 seconds');
    await wake(tokenId);
    const { issuerView } = await stack.expectEnding(partner, tokenId, {
      status: 'undeliverable',
      reason: 'token_expired',
    });
    expect(stepsOf(issuerView)).toMatchObject({ deliver: { result: 'token_expired' } });
    await issuer.endpoint.heard('share.undeliverable', tokenId);
  });
});

test('a message about nothing, and a timer that fires early by the database’s clock, change nothing', async () => {
  const { database, handoff } = stack;
  const { partner, tokenId } = await begin();
  await shiftClock(database.pool, '57 seconds');
  await wake(tokenId);
  const timers = async () => {
    const { events } = await handoff.temporal.workflow.getHandle(tokenId).fetchHistory();
    const count = (kind: 'timerStartedEventAttributes' | 'timerFiredEventAttributes') =>
      (events ?? []).filter((event) => event[kind] != null).length;
    return [count('timerStartedEventAttributes'), count('timerFiredEventAttributes')];
  };
  // The run has looked, and waits for the three seconds that are left; then forty more are.
  await expect.poll(timers).toEqual([2, 0]);
  await shiftClock(database.pool, '-40 seconds');
  await expect.poll(timers, { timeout: 20_000 }).toEqual([3, 1]);
  expect(await handoff.queryOnboarding(tokenId)).toMatchObject({ status: 'waiting' });
  await shiftClock(database.pool, '45 seconds');
  await wake(tokenId);
  await stack.expectEnding(partner, tokenId, { status: 'expired' });
});

describe('acknowledged just before the expiry, with the worker away until after it', () => {
  test('it is imported all the same, but not by the partner’s own call', async () => {
    const { brands, database } = stack;
    const { partner, tokenId, token } = await begin();
    await stack.stopWorker('onboarding');
    await shiftClock(database.pool, '55 seconds');
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    await shiftClock(database.pool, '10 seconds');
    const call = { share_token: token };
    expect(await brands.call(partner, 'POST', '/v3/session/import-shared/', call)).toMatchObject(expiredToken);
    await stack.startWorker('onboarding');
    await stack.expectEnding(partner, tokenId, { status: 'imported' });
  });

  test('it is rejected when the import can no longer be mended in time', async () => {
    const { brands, issuer, database } = stack;
    const { partner, tokenId } = await begin();
    await stack.stopWorker('onboarding');
    await shiftClock(database.pool, '55 seconds');
    expect(await brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
    await shiftClock(database.pool, '10 seconds');
    await database.pool.query('delete from verification_workflow where application_id = $1', [partner.id]);
    await stack.startWorker('onboarding');
    await stack.expectEnding(partner, tokenId, { status: 'rejected', reason: 'workflow_required' });
    await issuer.endpoint.heard('share.rejected', tokenId);
  });
});
