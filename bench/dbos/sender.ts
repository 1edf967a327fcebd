import { setTimeout as pause } from 'node:timers/promises';
import { readWebhooksConfig } from '../../src/config.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { rememberedKeys } from '../../src/crypto/share-token-keys.ts';
import { serveHealth } from '../../src/health-port.ts';
import { mediaUrls } from '../../src/media/links.ts';
import { deliveryLedger, DELIVERIES_CHANNEL } from '../../src/postgres/deliveries.ts';
import { loadSigningKeys } from '../../src/postgres/signing-keys.ts';
import { createTenants } from '../../src/postgres/tenants.ts';
import { listen } from '../../src/postgres/wake-up.ts';
import { sealWaitingEvents } from '../../src/relay/audit.ts';
import { createWebhookPoster } from '../../src/webhooks/http-post.ts';
import { startSender } from '../../src/webhooks/sender.ts';

// What needs no workflow and is there with Temporal too: the sender of notifications, and the sealing of events.
const config = readWebhooksConfig(process.env);
if ('problems' in config) throw new Error(config.problems.join('\n'));
const tenants = createTenants({ databaseUrl: config.databaseUrl, maxConnections: config.databaseConnections });
const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
const tools = {
  poster: createWebhookPoster(config.webhookUrlRules),
  shareTokenKeys: rememberedKeys(() => tenants.acrossTenants('signing_keys', (tx) => loadSigningKeys(tx, sealer))),
  mediaUrl: mediaUrls(config),
  docsUrl: `${config.publicUrl}/docs/`,
};
const onError = (error: unknown) => console.error(error);
const sender = startSender(deliveryLedger(tenants, sealer), tools, { onError });
listen(config.databaseUrl, DELIVERIES_CHANNEL, () => sender.wake());
await serveHealth(Number(config.healthPort), () => true);
process.once('SIGTERM', () => process.exit(0));
for (;;) {
  if (!(await sealWaitingEvents(tenants).catch(onError))) await pause(1_000);
}
