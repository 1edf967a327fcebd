import { describe, expect, it } from 'vitest';
import type { Destination } from '../support/fake-destinations.ts';
import { expectEnding, hasNoFailedTask, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const failing: Destination = () => 500;

describe('imported', () => {
  it('when the partner accepts', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting', acceptance: 'acknowledge' });
    await share.acknowledge();
    const ended = await lab.end(share, 'imported');
    expectEnding(share, ended, { status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? '' });
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
    expect(share.attempts).toEqual([{ destination: 0, withToken: true }]);
  });

  it('in the last minute of a 24-hour token', async () => {
    const share = await lab.begin({ ttlSeconds: 86_400 });
    await lab.pass(86_340_000);
    await share.acknowledge();
    const ended = await lab.end(share);
    expectEnding(share, ended, { status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? '' });
  });

  it.each(['redeem', 'acknowledge'] as const)(
    'by the partner’s own call, where its acceptance is %s',
    async (acceptance) => {
      const share = await lab.begin({ world: { acceptance } });
      await lab.pass('5m');
      const sessionId = await share.redeem();
      const ended = await lab.end(share, `redeemed-by-call-${acceptance}`);
      expectEnding(share, ended, { status: 'imported', reason: null, sessionId });
      expect(share.steps).toEqual(['mint', 'look', 'notify']);
    },
  );

  it('by the partner’s own call during a day of failing deliveries', async () => {
    const share = await lab.begin({ ttlSeconds: 86_400, destinations: [failing] });
    await lab.pass('3h');
    const sessionId = await share.redeem();
    expectEnding(share, await lab.end(share), { status: 'imported', reason: null, sessionId });
  });
});

describe('refused', () => {
  it('by the partner', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    await share.refuse();
    expectEnding(share, await lab.end(share, 'refused'), { status: 'refused', reason: 'refused_by_partner' });
    expect(share.steps).toEqual(['mint', 'import', 'notify']);
    expect(share.rows().token).toMatchObject({ closedAs: 'refused' });
  });

  it('by a partner whose acceptance is its own call', async () => {
    const share = await lab.begin({ world: { acceptance: 'redeem' } });
    await lab.pass('5m');
    await share.refuse();
    expectEnding(share, await lab.end(share), { status: 'refused', reason: 'refused_by_partner' });
  });
});

describe('revoked', () => {
  const revoked = { status: 'revoked', reason: 'revoked_by_issuer' } as const;

  it('before the mint: no token is ever made', async () => {
    const share = lab.share();
    await share.revoke();
    await lab.start(share);
    expectEnding(share, await lab.end(share, 'revoked-before-mint'), revoked);
    expect(share.steps).toEqual(['mint', 'notify']);
    expect(share.rows().token).toBeNull();
    expect(share.attempts).toEqual([]);
  });

  it('while delivery is failing: no further attempt is made', async () => {
    const share = await lab.begin({ destinations: [failing] });
    await lab.pass('20m');
    expect(await lab.view(share)).toMatchObject({ status: 'delivering' });
    await share.revoke();
    const attempts = share.attempts.length;
    expectEnding(share, await lab.end(share, 'revoked-during-delivery'), revoked);
    await lab.pass('1h');
    expect(share.attempts).toHaveLength(attempts);
    expect(attempts).toBeGreaterThan(3);
  });

  it('after delivery', async () => {
    const share = await lab.begin();
    await lab.pass('20m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    await share.revoke();
    expectEnding(share, await lab.end(share, 'revoked'), revoked);
    expect(share.steps).toEqual(['mint', 'look', 'notify']);
    expect(share.rows().token).toMatchObject({ closedAs: 'revoked' });
  });
});

describe('expired', () => {
  it('when the partner got the token and nobody answers', async () => {
    const share = await lab.begin();
    expectEnding(share, await lab.end(share, 'expired'), { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
  });

  it('after 24 hours, at the longest', async () => {
    const share = await lab.begin({ ttlSeconds: 86_400 });
    const ended = await lab.end(share);
    expectEnding(share, ended, { status: 'expired', reason: null });
    expect(ended.closedAt).toBeGreaterThanOrEqual((share.rows().token?.expiresAt ?? Infinity) * 1000);
  });

  it('as a token of 60 seconds, at the shortest', async () => {
    const share = await lab.begin({ ttlSeconds: 60 });
    expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
  });
});

describe('undeliverable', () => {
  it('when the token ran out and no destination ever answered', async () => {
    const share = await lab.begin({ destinations: [failing, () => 'no_reply'] });
    expectEnding(share, await lab.end(share, 'undeliverable-token-expired'), {
      status: 'undeliverable',
      reason: 'token_expired',
    });
    expect(share.attempts.length).toBeGreaterThan(10);
  });

  it.each([
    ['gone', [() => 410]],
    ['blocked_address', [() => 'blocked_address']],
    ['no_destination', []],
  ] satisfies [string, Destination[]][])('at once: %s', async (reason, destinations) => {
    const share = await lab.begin({ destinations });
    expectEnding(share, await lab.end(share, `undeliverable-${reason}`), { status: 'undeliverable', reason });
    expect(share.steps).toEqual(['mint', 'close undeliverable', 'notify']);
    expect(share.attempts).toHaveLength(destinations.length);
  });

  it('when the last destination goes after hours of failing', async () => {
    const share = await lab.begin({ ttlSeconds: 86_400, destinations: [(attempt) => (attempt < 20 ? 500 : 410)] });
    expectEnding(share, await lab.end(share), { status: 'undeliverable', reason: 'gone' });
  });

  it('not while one of two destinations can still be tried', async () => {
    const share = await lab.begin({ destinations: [() => 410, failing] });
    await lab.pass('30m');
    expect(await lab.view(share)).toMatchObject({ status: 'delivering' });
    expect(share.attempts.filter(({ destination }) => destination === 0)).toHaveLength(1);
    expectEnding(share, await lab.end(share), { status: 'undeliverable', reason: 'token_expired' });
  });
});

describe('rejected', () => {
  it('when the session cannot be shared any more', async () => {
    const share = await lab.begin({ world: { sessionStatus: null } });
    expectEnding(share, await lab.end(share, 'rejected-at-mint'), { status: 'rejected', reason: 'session_not_found' });
    expect(share.steps).toEqual(['mint', 'close rejected', 'notify']);
    expect(share.rows().token).toBeNull();
  });

  it('when the source is deleted between the partner’s word and the import', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.signals = false;
    await share.acknowledge();
    share.world.sessionStatus = null;
    const ended = await lab.end(share, 'rejected-at-import');
    expectEnding(share, ended, { status: 'rejected', reason: 'source_session_gone' });
    expect(share.steps).toEqual(['mint', 'close expired', 'import', 'close rejected', 'notify']);
  });

  it('when no onboarding is known under the token id: nobody is told', async () => {
    const share = await lab.begin({ known: false });
    const ended = await lab.end(share, 'rejected-unknown');
    expect(ended).toMatchObject({
      state: 'COMPLETED',
      result: { status: 'rejected', reason: 'unknown_onboarding' },
      searchAttribute: 'rejected',
    });
    expect(ended.history).toSatisfy(hasNoFailedTask);
    expect(share.steps).toEqual(['mint', 'close rejected']);
    expect(share.events()).toEqual([]);
  });
});

describe('with two destinations', () => {
  it('waits once the first has answered, and goes on trying the second until the end', async () => {
    const share = await lab.begin({ destinations: [() => 200, failing] });
    await lab.pass('10m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    const seen = (destination: number) => share.attempts.filter((attempt) => attempt.destination === destination);
    expect(seen(0)).toHaveLength(1);
    expect(seen(1).length).toBeGreaterThan(3);
    expectEnding(share, await lab.end(share, 'expired-second-destination-failing'), {
      status: 'expired',
      reason: null,
    });
    expect(seen(0)).toHaveLength(1);
  });

  it('reaches the second after the first, and tries neither again', async () => {
    const share = await lab.begin({ destinations: [() => 200, (attempt) => (attempt < 3 ? 500 : 204)] });
    await lab.pass('30m');
    // A round goes out to both at once, in either order.
    const tried = share.attempts.map(({ destination }) => destination).sort((a, b) => a - b);
    expect(tried).toEqual([0, 1, 1, 1]);
    await share.acknowledge();
    expect((await lab.end(share)).result).toMatchObject({ status: 'imported' });
  });
});
