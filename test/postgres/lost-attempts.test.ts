import { describe, expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { settleLostAttempts } from '../../src/postgres/outbox.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { shiftClock, resetClock } from '../support/database.ts';
import { deliveryLab } from '../support/delivery-lab.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';

const lab = shareLab();

it('settles what a killed sender left once its lease is over, and not before', async () => {
  const tenants = createTenants({ databaseUrl: lab.database.url, maxConnections: 2 });
  try {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, testSealer, {
        applicationId: lab.partner.id,
        url: 'https://partner.example/hooks',
        subscribedEvents: ['share.received'],
      }),
    );
    await tokenDeliveryLedger(handoffTenants(tenants, testSealer, testBlindIndex), testSealer).begin(tokenId, 1);
    await lab.close(tokenId, { as: 'revoked', reason: 'cancelled' });
    const attempts = async () =>
      (
        await lab.database.pool.query<{ state: string; attempt: string }>(
          `select d.state, a.state as attempt from delivery d join delivery_attempt a using (delivery_id)
           join event e using (event_id) where e.token_id = $1`,
          [tokenId],
        )
      ).rows;
    const settle = () => tenants.acrossTenants('relay', async (tx) => settleLostAttempts(tx));
    await settle();
    expect(await attempts()).toEqual([{ state: 'stopped', attempt: 'started' }]);
    await shiftClock(lab.database.pool, '5 minutes');
    await settle();
    expect(await attempts()).toEqual([{ state: 'stopped', attempt: 'unknown' }]);
  } finally {
    await resetClock(lab.database.pool);
    await tenants.close();
  }
});

it('ends what is left of a share that has ended, and says why', async () => {
  const tenants = createTenants({ databaseUrl: lab.database.url, maxConnections: 2 });
  try {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await tokenDeliveryLedger(handoffTenants(tenants, testSealer, testBlindIndex), testSealer).begin(tokenId, 1);
    await lab.close(tokenId, { as: 'revoked', reason: 'cancelled' });
    const left = `from delivery d join event e using (event_id) where e.token_id = $1 and d.owner = 'onboarding'`;
    // As one that was made beside its ending.
    await lab.database.pool.query(
      `update delivery set state = 'pending', last_reason = null, ended_at = null, lease_until = null
       where delivery_id in (select d.delivery_id ${left})`,
      [tokenId],
    );
    await shiftClock(lab.database.pool, '5 minutes');
    await tenants.acrossTenants('relay', async (tx) => settleLostAttempts(tx));
    const { rows } = await lab.database.pool.query(`select d.state, d.last_reason as reason ${left}`, [tokenId]);
    expect(rows).toEqual([{ state: 'stopped', reason: 'share_ended' }]);
  } finally {
    await resetClock(lab.database.pool);
    await tenants.close();
  }
});

describe('an attempt by hand', () => {
  const hands = deliveryLab();
  const settle = () => hands.tenants.acrossTenants('relay', async (tx) => settleLostAttempts(tx));
  const shown = () =>
    hands.rows(
      `select d.state, d.last_reason as reason, a.state as attempt from delivery d join delivery_attempt a using (delivery_id)`,
    );

  /** A test send in line. */
  async function testSend(): Promise<string> {
    const applicationId = await hands.application();
    const destinationId = await hands.destination(applicationId);
    await hands.tell(applicationId);
    await hands.rows(`update delivery set owner = 'hand'`);
    await hands.byHand(destinationId);
    return destinationId;
  }

  it('whose sender was killed is unknown, and ends a test send', async () => {
    await testSend();
    await hands.claimOnly();
    await settle();
    expect(await shown()).toEqual([{ state: 'pending', reason: null, attempt: 'started' }]);
    await hands.pass('5 minutes');
    await settle();
    expect(await shown()).toEqual([{ state: 'exhausted', reason: 'unknown', attempt: 'unknown' }]);
  });

  it.each([
    ['payload_deleted', 'delete from event_payload'],
    ['destination_deleted', 'update webhook_destination set deleted_at = now(), enabled = false'],
  ])('that nobody can make any more has failed: %s', async (reason, change) => {
    await testSend();
    await hands.rows(change);
    expect(await hands.claimAll()).toEqual([]);
    await settle();
    expect(await shown()).toEqual([{ state: 'stopped', reason, attempt: 'failed' }]);
  });
});
