import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApplication, createWebhookDestination } from '../../src/accounts/applications.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { plainSealer } from '../../src/crypto/payload-seal.ts';
import { deliveryLedger, dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { deleteDestination } from '../../src/postgres/webhook-destinations.ts';
import { attemptDelivery } from '../../src/webhooks/attempt-delivery.ts';
import { createWebhookPoster } from '../../src/webhooks/http-post.ts';
import { receive } from '../support/loopback.ts';
import { testDatabase } from '../support/database.ts';
import { testBlindIndex } from '../support/app-parts.ts';

const db = testDatabase();
let tenants: ReturnType<typeof createTenants>;
const rules = { allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] } as const;
const poster = createWebhookPoster(rules);
const tools = {
  poster,
  shareTokenKeys: parseKeyRing(`k:${Buffer.alloc(32, 3).toString('base64url')}`),
  mediaUrl: () => 'http://files.test/',
};

beforeAll(() => {
  tenants = createTenants({ databaseUrl: db.url, maxConnections: 2 });
});
afterAll(async () => {
  await poster.close();
  await tenants.close();
});

it.each(['disabled', 'deleted'])(
  'ends the open deliveries of a destination that was %s, and sends nothing',
  async (how) => {
    let requests = 0;
    const receiver = await receive((_request, response) => {
      requests += 1;
      response.writeHead(500).end();
    });
    const handoff = handoffTenants(tenants, plainSealer, testBlindIndex);
    const { applicationId, destinationId } = await handoff.acrossTenants('provision', async (_tx, sql) => {
      const id = createApplication(sql, { name: how, environment: 'sandbox' });
      const made = await createWebhookDestination(sql, plainSealer, {
        applicationId: id,
        url: receiver.url,
        subscribedEvents: ['share.minted'],
      });
      return { applicationId: id, destinationId: made?.destinationId ?? '' };
    });
    const tokenId = newId();
    await handoff.acrossTenants('relay', async (tx, sql) => {
      tx.events.insert(
        [
          {
            type: 'share.minted',
            applicationId,
            tokenId,
            sessionId: null,
            dedupeKey: tokenId,
            body: { webhook_type: 'share.minted' },
          },
        ],
        { kind: 'system', id: null },
      );
      await dispatchEvents(sql, { tokenId });
    });
    if (how === 'deleted')
      await tenants.withTenant(applicationId, (sql) => deleteDestination(sql, applicationId, destinationId));
    else
      await db.pool.query('update webhook_destination set enabled = false where destination_id = $1', [destinationId]);

    const ledger = deliveryLedger(tenants, plainSealer);
    const claimed = (await ledger.claimDue(10)).claimed;
    expect(claimed).toHaveLength(1);
    for (const delivery of claimed) await ledger.record(await attemptDelivery(delivery, tools));
    expect((await ledger.claimDue(10)).claimed).toEqual([]);
    const { rows } = await db.pool.query(
      'select state, last_reason, ended_at is not null as ended from delivery where destination_id = $1',
      [destinationId],
    );
    expect(rows).toEqual([{ state: 'stopped', last_reason: 'destination_disabled', ended: true }]);
    expect(requests).toBe(0);
    await receiver.close();
  },
);
