import { expect, it } from 'vitest';
import { createWebhookDestination } from '../../src/accounts/applications.ts';
import { plainSealer } from '../../src/crypto/payload-seal.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { settleLostAttempts } from '../../src/postgres/outbox.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { shiftClock, resetClock } from '../support/database.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';
import { testBlindIndex } from '../support/app-parts.ts';

const lab = shareLab();

it('settles what a killed sender left once its lease is over, and not before', async () => {
  const tenants = createTenants({ databaseUrl: lab.database.url, maxConnections: 2 });
  try {
    const tokenId = await lab.start(await lab.takeIn(userDocument()));
    await tenants.acrossTenants('provision', (sql) =>
      createWebhookDestination(sql, plainSealer, {
        applicationId: lab.partner.id,
        url: 'https://partner.example/hooks',
        subscribedEvents: ['share.received'],
      }),
    );
    await tokenDeliveryLedger(handoffTenants(tenants, plainSealer, testBlindIndex), plainSealer).begin(tokenId, 1);
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
