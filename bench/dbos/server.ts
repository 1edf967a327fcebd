import { DBOS } from '@dbos-inc/dbos-sdk';
import { readServerConfig } from '../../src/config.ts';
import { createBlindIndex } from '../../src/crypto/blind-index.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { rememberedKeys } from '../../src/crypto/share-token-keys.ts';
import { buildApp } from '../../src/http/app.ts';
import { mediaUrls } from '../../src/media/links.ts';
import { openMediaStore } from '../../src/media/open-media-store.ts';
import { dispatchEvents } from '../../src/postgres/deliveries.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { forgetWishes } from '../../src/postgres/outbox.ts';
import { loadSigningKeys, prepareSigningKeys } from '../../src/postgres/signing-keys.ts';
import { createTenants, type Wish } from '../../src/postgres/tenants.ts';
import { tokenDeliveryLedger } from '../../src/postgres/token-deliveries.ts';
import { createWebhookPoster } from '../../src/webhooks/http-post.ts';
import { dbosOnboarding, WORD } from './onboarding.ts';

// The HTTP API as in `src/server.ts`, with DBOS in the place of Temporal: what a commit wishes for is carried out here.
const config = readServerConfig(process.env);
if ('problems' in config) throw new Error(config.problems.join('\n'));
const tenants = createTenants({
  databaseUrl: config.databaseUrl,
  maxConnections: config.databaseConnections,
  afterCommit: (wishes) => void carryOutAll(wishes).catch((error: unknown) => console.error(error)),
});
const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
const handoff = handoffTenants(tenants, sealer, createBlindIndex(config.blindIndexKey));
await handoff.acrossTenants('secrets', (tx, sql) =>
  prepareSigningKeys({ tx, sql, sealer, actor: { kind: 'system', id: null } }, config.shareTokenKeys),
);
const shareTokenKeys = rememberedKeys(() => tenants.acrossTenants('signing_keys', (tx) => loadSigningKeys(tx, sealer)));
const style = { businessStatusCase: config.businessStatusCase };
const tools = {
  poster: createWebhookPoster(config.webhookUrlRules),
  shareTokenKeys,
  mediaUrl: mediaUrls(config),
  docsUrl: `${config.publicUrl}/docs/`,
};
const onboarding = dbosOnboarding({ tenants: handoff, ledger: tokenDeliveryLedger(handoff, sealer), tools, style });
DBOS.setConfig({
  name: 'handoff-on-dbos',
  systemDatabaseUrl: String(process.env['DBOS_SYSTEM_DATABASE_URL']),
  logLevel: 'error',
});
await DBOS.launch();

async function carryOutAll(wishes: readonly Wish[]): Promise<void> {
  for (const wish of wishes) await carryOut(wish);
}

async function carryOut({ wish, subjectId, tokenId, outboxId }: Wish): Promise<void> {
  if (wish === 'dispatch') {
    await tenants.acrossTenants('carry_out', (tx) => dispatchEvents(tx, { eventIds: [subjectId] }));
    return;
  }
  if (wish === 'start') await DBOS.startWorkflow(onboarding, { workflowID: subjectId })(subjectId);
  if (wish === 'signal' && tokenId !== null) await DBOS.send(tokenId, subjectId, WORD, outboxId);
  await tenants.acrossTenants('carry_out', async (tx) => forgetWishes(tx, [outboxId]));
}

const app = buildApp({
  tenants: handoff,
  shareTokenKeys,
  style,
  webhookUrlRules: config.webhookUrlRules,
  accessTokenKey: config.accessTokenKey,
  mailer: null,
  showCodes: false,
  media: openMediaStore(config.mediaStore),
  mediaLinkKey: config.mediaLinkKey,
  publicUrl: config.publicUrl,
  rateLimits: config.rateLimits,
  registrationsPerHour: config.registrationsPerHour,
  logger: false,
  readiness: () => Promise.reject(new Error('nobody asks it')),
});
await app.listen({ host: '127.0.0.1', port: config.port });
process.once('SIGTERM', () => {
  void app
    .close()
    .then(() => DBOS.shutdown())
    .then(() => process.exit(0));
});
