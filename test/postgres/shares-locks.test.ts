import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PoolClient } from 'pg';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { EVENT_TYPES } from '../../src/domain/events.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { businessDocument, shareLab, userDocument } from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

// Locks are taken in one order everywhere: onboarding, token, source session, redemption, entity, deliveries and steps,
// counters. Each test holds a later lock and checks that whoever waits for it has not got one that comes after it.
const lab = shareLab();
let other: PoolClient;
beforeAll(async () => {
  other = await lab.database.pool.connect();
});
afterAll(() => other.release());

/** Waits until some transaction of the verbs waits for a lock. */
async function somebodyWaits(): Promise<void> {
  for (;;) {
    const waiting = await lab.rows(
      `select 1 from pg_stat_activity
       where datname = current_database() and application_name = 'handoff' and wait_event_type = 'Lock'`,
    );
    if (waiting.length > 0) return;
  }
}

/**
 * Holds `held` until `work` waits for it, and tells whether `free` can still be locked then: a second transaction that
 * takes `free` while it has `held` would be half of a deadlock otherwise.
 */
async function isFreeWhileWaiting(held: string, free: string, work: () => Promise<unknown>): Promise<boolean> {
  await other.query(`begin; ${held} for update`);
  const under = work();
  await somebodyWaits();
  const result = await other.query(`${free} for update nowait`).then(
    ({ rowCount }) => (rowCount ?? 0) > 0,
    () => false,
  );
  await other.query('rollback');
  await under;
  return result;
}

describe('lock order', () => {
  it('counters go by kind, business first: an import and a deletion', async () => {
    const person = await lab.takeIn(userDocument());
    const counter = (kind: string) =>
      `select 1 from session_counter where application_id = '${lab.partner.id}' and session_kind = '${kind}'`;
    const imports: string[] = [];
    for (let n = 0; n < 2; n += 1) {
      const { tokenId } = await lab.mint(await lab.takeIn(businessDocument([person])));
      imports.push((await lab.redeem(tokenId)).sessionId);
    }
    for (const [nth, last] of ['user', 'business'].entries()) {
      // A row that was written last lies behind the other one: plans that read the table as it lies take it second.
      await lab.rows('update session_counter set living = living where application_id = $1 and session_kind = $2', [
        lab.partner.id,
        last,
      ]);
      const again = await lab.mint(await lab.takeIn(businessDocument([person])));
      for (const work of [() => lab.remove(lab.partner, imports[nth] ?? ''), () => lab.redeem(again.tokenId)]) {
        expect(await isFreeWhileWaiting(counter('business'), counter('user'), work), `${last} last`).toBe(true);
      }
    }
  });

  it('a delivery goes before its attempts: recording one and claiming it again', async () => {
    await lab.tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: lab.issuer.id,
        url: 'https://receiver.example/locks',
        subscribedEvents: EVENT_TYPES,
      }),
    );
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()));
    await lab.tenants.acrossTenants('relay', (sql) => dispatchEvents(sql, { tokenId }));
    const ledger = deliveryLedger(lab.tenants, testSealer);
    const [claimed] = (await ledger.claimDue(1)).claimed;
    if (claimed === undefined) throw new Error('a delivery is due');
    const where = `where delivery_id = '${claimed.deliveryId}'`;
    const record = () =>
      ledger.record({
        deliveryId: claimed.deliveryId,
        attemptId: claimed.attemptId,
        trigger: claimed.trigger,
        scheduledSoFar: claimed.scheduledSoFar,
        requestHeaders: null,
        applicationId: claimed.applicationId,
        destinationId: claimed.destinationId,
        state: 'retrying',
        retryInMs: 1_000,
        reason: 'http_500',
        durationMs: 1,
        connectedIp: null,
        responseStatus: 500,
        responseHead: null,
        leftOut: [],
        bodyTruncated: false,
        locationHost: null,
        hint: null,
        slowDestinationMs: null,
        disables: null,
      });
    expect(
      await isFreeWhileWaiting(`select 1 from delivery ${where}`, `select 1 from delivery_attempt ${where}`, record),
    ).toBe(true);
  });

  it('the onboarding goes before its token, and both before the source session', async () => {
    const source = await lab.takeIn(userDocument());
    const tokenId = await lab.start(source);
    const [onboarding, token, session] = [
      `select 1 from onboarding where token_id = '${tokenId}'`,
      `select 1 from share_token where token_id = '${tokenId}'`,
      `select 1 from session where session_id = '${source}'`,
    ];
    const look = (held: string, free: string) =>
      isFreeWhileWaiting(held, free, () => lab.close(tokenId, { as: 'expired' }));
    expect(await look(onboarding, token)).toBe(true);
    expect(await look(token, session)).toBe(true);
    expect(await isFreeWhileWaiting(token, session, () => lab.redeem(tokenId))).toBe(true);
  });
});
