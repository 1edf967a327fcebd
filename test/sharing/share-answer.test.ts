import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import type { CloseRequest } from '../../src/domain/onboarding.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { refusalOf, shareLab, userDocument } from '../support/share-lab.ts';
import { shareSeen } from '../support/share-seen.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
beforeEach(() => resetClock(lab.database.pool));
afterEach(() => resetClock(lab.database.pool));

const pass = () => shiftClock(lab.database.pool, '2 hours');
const revoked = { as: 'revoked', reason: 'run_terminated' } as const satisfies CloseRequest;

/** How a share comes to stand as it does. */
const STORIES: Record<string, (tokenId: string) => Promise<unknown>> = {
  open: async () => {},
  acknowledged: (tokenId) => lab.acknowledge(tokenId),
  'acknowledged, past its expiry': async (tokenId) => {
    await lab.acknowledge(tokenId);
    await pass();
  },
  refused: (tokenId) => lab.acknowledge(tokenId, { accept: false }),
  redeemed: (tokenId) => lab.redeem(tokenId),
  'redeemed, past its expiry': async (tokenId) => {
    await lab.redeem(tokenId);
    await pass();
  },
  'redeemed, and the import deleted': async (tokenId) => {
    const imported = await lab.redeem(tokenId);
    await lab.remove(lab.partner, imported.sessionId);
  },
  revoked: (tokenId) => lab.revoke(tokenId),
  undeliverable: (tokenId) => lab.close(tokenId, { as: 'undeliverable', reason: 'gone' }),
  rejected: (tokenId) => lab.close(tokenId, { as: 'rejected', reason: 'source_session_gone' }),
  'past its expiry': pass,
  'past its expiry, and closed': async (tokenId) => {
    await pass();
    await lab.close(tokenId, { as: 'expired' });
  },
};

async function told(story: string): Promise<string> {
  const tokenId = await lab.start(await lab.takeIn(userDocument()));
  await STORIES[story]?.(tokenId);
  return tokenId;
}

describe('a look', () => {
  it.each<[string, object]>([
    ['open', { state: 'open', remainingMs: expect.any(Number) as unknown }],
    ['acknowledged', { state: 'acknowledged', acknowledgementId: expect.any(String) as unknown }],
    ['acknowledged, past its expiry', { state: 'acknowledged', acknowledgementId: expect.any(String) as unknown }],
    ['refused', { state: 'refused' }],
    ['redeemed', { state: 'redeemed', sessionId: expect.any(String) as unknown }],
    ['redeemed, past its expiry', { state: 'redeemed', sessionId: expect.any(String) as unknown }],
    ['redeemed, and the import deleted', { state: 'redeemed', sessionId: expect.any(String) as unknown }],
    ['revoked', { state: 'revoked', reason: 'revoked_by_issuer' }],
    ['undeliverable', { state: 'closed', as: 'undeliverable', reason: 'gone' }],
    ['rejected', { state: 'closed', as: 'rejected', reason: 'source_session_gone' }],
    ['past its expiry', { state: 'expired' }],
    // Nobody ever answered its delivery with 2xx.
    ['past its expiry, and closed', { state: 'closed', as: 'undeliverable', reason: 'token_expired' }],
  ])('at a share that is %s', async (story, answer) => {
    expect(await lab.look(await told(story))).toEqual(answer);
  });

  it('gives what remains by the database’s clock, at least 1 ms while it is open', async () => {
    const tokenId = await lab.start(await lab.takeIn(userDocument()), { ttlSeconds: 3600 });
    const remaining = async () => {
      const answer = await lab.look(tokenId);
      return answer.state === 'open' ? answer.remainingMs : -1;
    };
    expect(await remaining()).toBeGreaterThan(3_500_000);
    await shiftClock(lab.database.pool, '50 minutes');
    expect(await remaining()).toBeLessThanOrEqual(600_000);
    expect(await remaining()).toBeGreaterThan(0);
    await shiftClock(lab.database.pool, '10 minutes');
    expect(await lab.look(tokenId)).toEqual({ state: 'expired' });
  });

  it('finds no share that nobody made', async () => {
    expect((await refusalOf(lab.look(randomUUID()))).code).toBe('unknown_onboarding');
    expect((await refusalOf(lab.close(randomUUID(), { as: 'expired' }))).code).toBe('unknown_onboarding');
  });
});

describe('a close', () => {
  const REQUESTS: Record<string, CloseRequest> = {
    expired: { as: 'expired' },
    undeliverable: { as: 'undeliverable', reason: 'gone' },
    revoked,
    rejected: { as: 'rejected', reason: 'application_deleted' },
  };
  const [yes, no] = [true, false];

  // Does it close? Columns: expired, undeliverable, revoked, rejected.
  it.each<[string, readonly boolean[]]>([
    ['open', [no, yes, yes, yes]],
    ['acknowledged', [no, no, yes, yes]],
    ['acknowledged, past its expiry', [no, no, yes, yes]],
    ['past its expiry', [yes, yes, yes, yes]],
    ['refused', [no, no, no, no]],
    ['redeemed', [no, no, no, no]],
    ['redeemed, past its expiry', [no, no, no, no]],
    ['redeemed, and the import deleted', [no, no, no, no]],
    ['revoked', [no, no, no, no]],
    ['undeliverable', [no, no, no, no]],
    ['rejected', [no, no, no, no]],
    ['past its expiry, and closed', [no, no, no, no]],
  ])('of a share that is %s', async (story, closes) => {
    for (const [index, [name, request]] of Object.entries(REQUESTS).entries()) {
      await resetClock(lab.database.pool);
      const tokenId = await told(story);
      const before = await lab.look(tokenId);
      const events = () => lab.rows('select event_id from event where token_id = $1 order by 1', [tokenId]);
      const eventsBefore = await events();

      const answer = await lab.close(tokenId, request);

      const closed = answer.state !== 'open' && answer.state !== before.state;
      expect(closed || (story === 'past its expiry' && answer.state !== 'expired'), `close as ${name}`).toBe(
        closes[index],
      );
      // What remains of an open token goes on shrinking.
      if (answer.state !== 'open') expect(await lab.look(tokenId)).toEqual(answer);
      expect((await events()).length).toBe(eventsBefore.length + (closes[index] === true ? 1 : 0));
      const { broken } = await shareSeen(lab, { tokenId, issuer: lab.issuer, partner: lab.partner });
      expect(broken).toEqual([]);
    }
  });

  it('after the expiry tells whether anybody ever got the token', async () => {
    await lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: lab.partner.id,
        url: 'https://receiver.example/',
        subscribedEvents: ['share.received'],
      }),
    );
    const [answered, unanswered] = [await told('open'), await told('open')];
    const ledger = tokenDeliveryLedger(lab.handoff, testSealer);
    const round = await ledger.begin(answered, 1);
    if (!round.open) throw new Error('the token can be delivered');
    const [delivery] = round.deliveries;
    if (delivery === undefined) throw new Error('the partner has a destination');
    const { deliveryId, attemptId, trigger, scheduledSoFar, applicationId, destinationId } = delivery;
    const record = {
      deliveryId,
      attemptId,
      trigger,
      scheduledSoFar,
      applicationId,
      destinationId,
      requestHeaders: null,
      state: 'delivered',
      retryInMs: null,
      reason: 'http_204',
      durationMs: 1,
      connectedIp: null,
      responseStatus: 204,
      responseHead: null,
      leftOut: [],
      bodyTruncated: false,
      locationHost: null,
      hint: null,
      slowDestinationMs: null,
      disables: null,
    } as const;
    await ledger.finish(answered, { withToken: true, attempt: 1 }, [record]);
    await ledger.begin(unanswered, 1);
    await pass();
    for (const request of [{ as: 'expired' }, { as: 'undeliverable', reason: 'gone' }] as const) {
      expect(await lab.close(answered, request)).toEqual({ state: 'expired' });
      expect(await lab.close(unanswered, request)).toEqual({
        state: 'closed',
        as: 'undeliverable',
        reason: 'token_expired',
      });
    }
    expect((await shareSeen(lab, { tokenId: answered, issuer: lab.issuer, partner: lab.partner })).events).toEqual([
      'issuer share.expired',
      'issuer share.minted',
      'partner share.expired',
      'partner share.received',
    ]);
  });

  it('before the mint is a revocation or a rejection; nothing else is there to close', async () => {
    for (const request of [{ as: 'expired' }, { as: 'undeliverable', reason: 'gone' }] as const) {
      const tokenId = await lab.open(await lab.takeIn(userDocument()));
      expect(await lab.close(tokenId, request)).toEqual({ state: 'minting' });
    }
    const cancelled = await lab.open(await lab.takeIn(userDocument()));
    expect(await lab.close(cancelled, revoked)).toEqual({ state: 'revoked', reason: 'run_terminated' });
    const unfit = await lab.open(await lab.takeIn(userDocument()));
    const request = { as: 'rejected', reason: 'session_not_found' } as const;
    expect(await lab.close(unfit, request)).toEqual({ state: 'closed', ...request });
    expect(await lab.look(unfit)).toEqual({ state: 'closed', ...request });
    expect((await lab.runMint(unfit)).state).toBe('ended');
  });
});
