import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { EVENT_TYPES, type EventType } from '../../src/domain/events.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { queueAttempt } from '../../src/postgres/delivery-log.ts';
import { settleLostAttempts } from '../../src/postgres/outbox.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import type { ClaimedDelivery } from '../../src/webhooks/ports.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { recordOf } from '../support/delivery-lab.ts';
import { refusalOf, shareLab, userDocument, type LabBrand } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
const ledger = () => deliveryLedger(lab.tenants, testSealer);
const tokenLedger = () => tokenDeliveryLedger(lab.handoff, testSealer);
let issuer: LabBrand;
let partner: LabBrand;
beforeEach(async () => {
  await lab.rows('truncate outbox, delivery_attempt, delivery, onboarding_step cascade');
  [issuer, partner] = [await lab.newBrand(), await lab.newBrand()];
});
afterEach(() => resetClock(lab.database.pool));

let urls = 0;
async function destination(of: LabBrand, events: readonly EventType[] = EVENT_TYPES): Promise<string> {
  urls += 1;
  const made = await lab.tenants.acrossTenants('provision', (sql) =>
    createWebhookDestination(sql, testSealer, {
      applicationId: of.id,
      url: `https://receiver.example/${urls}`,
      subscribedEvents: events,
    }),
  );
  return made?.destinationId ?? '';
}

/** Mints tokens, each with one event for the issuer, and returns those events' ids. */
async function mintedEvents(count: number): Promise<string[]> {
  const source = await lab.takeIn(userDocument(), issuer);
  for (let n = 0; n < count; n += 1) await lab.mint(source, { from: issuer, to: partner });
  const rows = await lab.rows<{ event_id: string }>(
    `select event_id from event where application_id = $1 and type = 'share.minted'`,
    [issuer.id],
  );
  return rows.map(({ event_id }) => event_id);
}

const dispatch = (which: Parameters<typeof dispatchEvents>[1]) =>
  lab.tenants.acrossTenants('relay', (sql) => dispatchEvents(sql, which));

/** Events that are dispatched, so that their deliveries are due. */
async function due(count: number): Promise<void> {
  for (const eventId of await mintedEvents(count)) await dispatch({ eventIds: [eventId] });
}

const deliveries = () =>
  lab.rows<{ state: string; owner: string; attempts: number; leased: boolean; ended: boolean }>(
    `select state, owner, attempts, lease_until is not null as leased, ended_at is not null as ended from delivery`,
  );
const attempts = () =>
  lab.rows<{ attempt: number; state: string }>('select attempt, state from delivery_attempt order by attempt');

async function claimOnly(): Promise<ClaimedDelivery> {
  const [claimed, ...others] = (await ledger().claimDue(10)).claimed;
  if (claimed === undefined || others.length > 0) throw new Error('one delivery should be due');
  return claimed;
}

describe('dispatch', () => {
  it('makes each delivery once, however many relays dispatch an event', async () => {
    await destination(issuer);
    await destination(issuer, ['share.minted', 'share.imported']);
    const events = await mintedEvents(20);
    const made = await Promise.all(
      Array.from({ length: 8 }, async (_, relay) => {
        let count = 0;
        const order = relay % 2 === 0 ? events : events.toReversed();
        for (const eventId of order) count += await dispatch({ eventIds: [eventId] });
        return count;
      }),
    );
    expect(made.reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(await lab.rows('select event_id, destination_id from delivery')).toHaveLength(40);
    expect(await lab.rows(`select 1 from outbox where wish = 'dispatch'`)).toHaveLength(0);
  });

  it('leaves out destinations that are deleted, of others or not subscribed', async () => {
    const deleted = await destination(issuer);
    await destination(issuer, ['share.imported']);
    await destination(partner);
    await lab.rows('update webhook_destination set deleted_at = now() where destination_id = $1', [deleted]);
    await due(2);
    expect(await deliveries()).toEqual([]);
    expect(await lab.rows(`select 1 from outbox where wish = 'dispatch'`)).toEqual([]);
  });

  it('holds what a destination would get that is switched off', async () => {
    const disabled = await destination(issuer);
    await lab.rows('update webhook_destination set enabled = false where destination_id = $1', [disabled]);
    await due(2);
    const held = { state: 'held', owner: 'sender', attempts: 0, leased: false, ended: false };
    expect(await deliveries()).toEqual([held, held]);
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
  });

  it('of a token takes all of its events and nobody else’s', async () => {
    await destination(issuer);
    await destination(partner);
    const source = await lab.takeIn(userDocument(), issuer);
    const order = { from: issuer, to: partner };
    const [{ tokenId }] = [await lab.mint(source, order), await lab.mint(source, order)];
    await lab.redeem(tokenId, {}, partner);
    expect(await dispatch({ tokenId })).toBe(3);
    expect(await dispatch({ tokenId })).toBe(0);
    expect(await lab.rows(`select 1 from outbox where wish = 'dispatch'`)).toHaveLength(1);
  });
});

describe('a claim', () => {
  it('never gives one delivery to two senders', async () => {
    for (let n = 0; n < 8; n += 1) await destination(issuer);
    await due(10);
    const claimed = (
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          const mine: ClaimedDelivery[] = [];
          for (let over = false; !over;) {
            const next = await ledger().claimDue(7);
            mine.push(...next.claimed);
            over = next.claimed.length === 0 && !next.busy;
          }
          return mine;
        }),
      )
    ).flat();
    expect(new Set(claimed.map(({ deliveryId }) => deliveryId)).size).toBe(80);
    expect(claimed).toHaveLength(80);
    expect(new Set((await attempts()).map(({ attempt, state }) => `${attempt} ${state}`))).toEqual(
      new Set(['1 started']),
    );
  });

  it('brings all that an attempt needs', async () => {
    const destinationId = await destination(issuer);
    const [eventId] = await mintedEvents(1);
    await dispatch({ eventIds: [eventId ?? ''] });
    const claimed = await claimOnly();
    expect(claimed).toMatchObject({
      attempt: 1,
      eventId,
      eventType: 'share.minted',
      destinationId,
      payloadMode: 'full',
      token: null,
    });
    expect(JSON.parse(claimed.payload)).toMatchObject({
      webhook_type: 'share.minted',
      application_id: issuer.id,
      partner_application_id: partner.id,
    });
    expect(claimed.secrets.map((secret) => secret.length)).toEqual([32]);
  });

  it('waits for its time, and passes over what somebody holds', async () => {
    await destination(issuer);
    await due(1);
    await lab.rows(`update delivery set next_at = handoff_now() + interval '10 minutes'`);
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
    await shiftClock(lab.database.pool, '11 minutes');
    await claimOnly();
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
  });

  it('after a sender’s death finds the lost attempt unknown and tries again', async () => {
    await destination(issuer);
    await due(1);
    const lost = await claimOnly();
    await shiftClock(lab.database.pool, '1 minute');
    const again = await claimOnly();
    expect(again).toMatchObject({ deliveryId: lost.deliveryId, eventId: lost.eventId, attempt: 2 });
    expect(await attempts()).toEqual([
      { attempt: 1, state: 'unknown' },
      { attempt: 2, state: 'started' },
    ]);
  });

  it('of one delivery goes to one of many runs; the others learn how it stands', async () => {
    await destination(issuer);
    await due(1);
    await ledger().record(recordOf(await claimOnly(), 'retrying'));
    const [row] = await lab.rows<{ delivery_id: string }>('select delivery_id from delivery');
    const deliveryId = row?.delivery_id ?? '';
    await shiftClock(lab.database.pool, '6 seconds');
    const claims = await Promise.all(Array.from({ length: 6 }, () => ledger().claimOne(deliveryId)));
    const held = claims.filter((claim) => 'ended' in claim);
    // It is leased for 20 s.
    expect(held).toEqual(Array.from({ length: 5 }, () => ({ ended: false, retryInMs: expect.any(Number) })));
    for (const { retryInMs } of held as { retryInMs: number }[]) expect(retryInMs).toBeGreaterThan(19_000);
    const claimed = claims.find((claim): claim is ClaimedDelivery => !('ended' in claim));
    if (claimed === undefined) throw new Error('one run has it');
    await ledger().record(recordOf(claimed, 'delivered'));
    expect(await ledger().claimOne(deliveryId)).toEqual({ ended: true, state: 'delivered' });
  });
});

describe('a record', () => {
  it('of an answer ends the delivery', async () => {
    await destination(issuer);
    await due(1);
    await ledger().record(recordOf(await claimOnly(), 'delivered'));
    expect(await deliveries()).toEqual([
      { state: 'delivered', owner: 'sender', attempts: 1, leased: false, ended: true },
    ]);
    expect(await attempts()).toEqual([{ attempt: 1, state: 'delivered' }]);
  });

  it('of a first failure hands the delivery to a run, once, and away from the senders', async () => {
    await destination(issuer);
    await due(1);
    const claimed = await claimOnly();
    await Promise.all([ledger().record(recordOf(claimed, 'retrying')), ledger().record(recordOf(claimed, 'retrying'))]);
    expect(await deliveries()).toEqual([{ state: 'retrying', owner: 'run', attempts: 1, leased: false, ended: false }]);
    expect(await lab.rows('select wish, subject_id from outbox')).toEqual([
      { wish: 'retry_delivery', subject_id: claimed.deliveryId },
    ]);
    await shiftClock(lab.database.pool, '1 hour');
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
  });

  it('that comes late never takes the delivery from who holds it by then', async () => {
    await destination(issuer);
    await due(1);
    const slow = await claimOnly();
    await shiftClock(lab.database.pool, '1 minute');
    await claimOnly();
    await ledger().record(recordOf(slow, 'retrying'));
    expect(await deliveries()).toEqual([
      { state: 'pending', owner: 'sender', attempts: 2, leased: true, ended: false },
    ]);
    expect(await attempts()).toEqual([
      { attempt: 1, state: 'failed' },
      { attempt: 2, state: 'started' },
    ]);
    await shiftClock(lab.database.pool, '10 seconds');
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
  });

  it('that comes late with an answer ends the delivery, and nothing undoes that', async () => {
    await destination(issuer);
    await due(1);
    const slow = await claimOnly();
    await shiftClock(lab.database.pool, '1 minute');
    const second = await claimOnly();
    await ledger().record(recordOf(slow, 'delivered'));
    await ledger().record(recordOf(second, 'retrying'));
    expect(await deliveries()).toMatchObject([{ state: 'delivered', owner: 'sender', ended: true }]);
    expect(await lab.rows('select 1 from outbox')).toEqual([]);
  });
});

describe('the deliveries of a token', () => {
  const order = () => ({ from: issuer, to: partner });

  it('are made once and belong to one round at a time; no sender ever takes them', async () => {
    await destination(partner);
    await destination(partner);
    const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
    const rounds = await Promise.all([1, 2, 3].map((attempt) => tokenLedger().begin(tokenId, attempt)));
    const taken = rounds.flatMap((round) => (round.open ? round.deliveries : []));
    expect(taken).toHaveLength(2);
    expect(taken.map(({ token }) => token?.claims.jti)).toEqual([tokenId, tokenId]);
    expect((await ledger().claimDue(10)).claimed).toEqual([]);
    expect(
      await lab.rows(`select 1 from event where token_id = $1 and type = 'share.received'`, [tokenId]),
    ).toHaveLength(1);

    const records = taken.map((claimed, index) => recordOf(claimed, index === 0 ? 'delivered' : 'retrying'));
    const finished = await tokenLedger().finish(tokenId, { withToken: true, attempt: 1 }, records);
    expect(finished).toEqual({ delivered: 1, pending: 1, failedStates: [] });
    expect(await lab.rows('select status from onboarding where token_id = $1', [tokenId])).toEqual([
      { status: 'waiting' },
    ]);
    expect(await lab.rows('select owner from delivery')).toEqual([{ owner: 'onboarding' }, { owner: 'onboarding' }]);
    expect(await lab.rows(`select 1 from outbox where wish = 'retry_delivery'`)).toEqual([]);
  });

  it('stop when the share ends; an attempt that was under way is still recorded, and changes nothing else', async () => {
    await destination(partner);
    const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
    const round = await tokenLedger().begin(tokenId, 1);
    await lab.revoke(tokenId, issuer);
    expect(await deliveries()).toMatchObject([{ state: 'stopped', ended: true }]);
    expect(await lab.rows('select last_reason from delivery')).toEqual([{ last_reason: 'share_ended' }]);
    if (!round.open) throw new Error('the round was open');
    await tokenLedger().finish(
      tokenId,
      { withToken: true, attempt: 1 },
      round.deliveries.map((claimed) => recordOf(claimed, 'delivered')),
    );
    expect(await deliveries()).toMatchObject([{ state: 'delivered', ended: true }]);
    expect(await lab.rows('select status from onboarding where token_id = $1', [tokenId])).toEqual([
      { status: 'revoked' },
    ]);
    expect(await lab.rows('select step from onboarding_step where finished_at is null')).toEqual([]);
    expect(await tokenLedger().begin(tokenId, 2)).toEqual({ open: false, over: true });
  });

  it('wait while an acknowledgement is carried out, and go on when its import is refused', async () => {
    const connection = await lab.connect(issuer, partner, {});
    await destination(partner);
    const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
    await lab.acknowledge(tokenId, { by: partner });
    expect(await tokenLedger().begin(tokenId, 1)).toEqual({ open: false, over: false });
    await lab.changeConnection(connection, issuer, { suspended: true });
    expect((await refusalOf(lab.runImport(tokenId))).code).toBe('connection_suspended');
    expect(await tokenLedger().begin(tokenId, 2)).toMatchObject({ open: true, deliveries: [{ attempt: 1 }] });
  });

  it('of an automatic share are a notice without the token', async () => {
    await lab.connect(issuer, partner, { acceptance: 'automatic' });
    await destination(partner);
    const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
    const round = await tokenLedger().begin(tokenId, 1);
    expect(round).toMatchObject({ open: true, withToken: false, deliveries: [{ token: null }] });
  });

  describe('that are wanted by hand', () => {
    const manual = () => lab.rows(`select state, reason from delivery_attempt where trigger = 'manual'`);

    /** A token that was delivered, and is wanted again. */
    async function wantedAgain(): Promise<string> {
      await destination(partner);
      const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
      const round = await tokenLedger().begin(tokenId, 1);
      if (!round.open) throw new Error('the round was open');
      const records = round.deliveries.map((claimed) => recordOf(claimed, 'delivered'));
      await tokenLedger().finish(tokenId, { withToken: true, attempt: 1 }, records);
      const [first] = records;
      await lab.tenants.withTenant(partner.id, async (sql) => {
        queueAttempt(sql, partner.id, first?.attemptId ?? '');
      });
      return tokenId;
    }

    it('are sent while the token is open', async () => {
      const tokenId = await wantedAgain();
      expect((await ledger().claimDue(10)).claimed).toMatchObject([
        { trigger: 'manual', token: { claims: { jti: tokenId } } },
      ]);
    });

    it('end with the token', async () => {
      await lab.revoke(await wantedAgain(), issuer);
      expect(await manual()).toEqual([{ state: 'failed', reason: 'token_ended' }]);
      expect((await ledger().claimDue(10)).claimed).toEqual([]);
    });

    it.each([
      ['has run out', async () => shiftClock(lab.database.pool, '2 days')],
      ['is being imported', async (tokenId: string) => lab.acknowledge(tokenId, { by: partner })],
    ])('are not sent when the token %s', async (_how, end) => {
      await lab.connect(issuer, partner, {});
      await end(await wantedAgain());
      expect((await ledger().claimDue(10)).claimed).toEqual([]);
      await lab.tenants.acrossTenants('relay', async (sql) => settleLostAttempts(sql));
      expect(await manual()).toEqual([{ state: 'failed', reason: 'token_ended' }]);
    });
  });

  /** Opens a round of a token with a destination of the partner's, whose health row is changed before. */
  async function begunWith(health: string): Promise<{ tokenId: string; destinationId: string }> {
    const destinationId = await destination(partner);
    const tokenId = await lab.start(await lab.takeIn(userDocument(), issuer), order());
    await lab.rows(`update webhook_health set ${health} where destination_id = $1`, [destinationId]);
    return { tokenId, destinationId };
  }

  it.each([
    ['slow', `slow_until = handoff_now() + interval '90 seconds'`],
    ['out of order', `circuit_open_until = handoff_now() + interval '90 seconds'`],
  ])('wait for a destination that is %s, and no attempt is used up', async (_how, health) => {
    const { tokenId } = await begunWith(health);
    const round = await tokenLedger().begin(tokenId, 1);
    expect(round).toMatchObject({ open: true, deliveries: [], opensInMs: expect.closeTo(90_000, -4) });
    expect(await tokenLedger().finish(tokenId, { withToken: true, attempt: 1 }, [])).toMatchObject({ pending: 1 });
    expect(await deliveries()).toMatchObject([{ attempts: 0, ended: false }]);
    await shiftClock(lab.database.pool, '91 seconds');
    expect(await tokenLedger().begin(tokenId, 2)).toMatchObject({ deliveries: [{ attempt: 1 }], opensInMs: null });
  });

  it('share a destination’s ten places with notifications, and its probe', async () => {
    const { tokenId, destinationId } = await begunWith('consecutive_failures = 0');
    const source = await lab.takeIn(userDocument(), partner);
    for (let n = 0; n < 12; n += 1) await dispatch(await lab.mint(source, { from: partner, to: issuer }));
    expect((await ledger().claimDue(64)).claimed).toHaveLength(10);
    expect(await tokenLedger().begin(tokenId, 1)).toMatchObject({ deliveries: [], opensInMs: 0 });

    await lab.rows(`update delivery_attempt set state = 'failed'`);
    await lab.rows(
      `update webhook_health set circuit_open_until = handoff_now() - interval '1 second' where destination_id = $1`,
      [destinationId],
    );
    expect(await tokenLedger().begin(tokenId, 2)).toMatchObject({ deliveries: [{ attempt: 1 }] });
    expect((await ledger().claimDue(64)).claimed).toEqual([]);
  });

  it('end, and are never held, when their destination was switched off', async () => {
    const { tokenId, destinationId } = await begunWith('consecutive_failures = 0');
    await tokenLedger().begin(tokenId, 1);
    await lab.rows('update webhook_destination set enabled = false where destination_id = $1', [destinationId]);
    await shiftClock(lab.database.pool, '1 minute');
    expect(await tokenLedger().begin(tokenId, 2)).toMatchObject({ open: true, deliveries: [], opensInMs: null });
    expect(await deliveries()).toMatchObject([{ state: 'stopped', ended: true }]);
    expect(await tokenLedger().finish(tokenId, { withToken: true, attempt: 2 }, [])).toEqual({
      delivered: 0,
      pending: 0,
      failedStates: ['destination_disabled'],
    });
  });

  it('tell of a destination that they switch off', async () => {
    const { tokenId, destinationId } = await begunWith('consecutive_failures = 0');
    const disabled: unknown[] = [];
    const tokens = tokenDeliveryLedger(lab.handoff, testSealer, (one) => disabled.push(one));
    const round = await tokens.begin(tokenId, 1);
    if (!round.open) throw new Error('the round was open');
    const records = round.deliveries.map((claimed) => recordOf(claimed, 'blocked', { disables: 'blocked' }));
    await tokens.finish(tokenId, { withToken: true, attempt: 1 }, records);
    expect(disabled).toEqual([{ applicationId: partner.id, destinationId, reason: 'blocked' }]);
  });
});
