import './node-version.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { createSmtpMailer } from './accounts/smtp-mailer.ts';
import { connectHandoffClient, temporalNamespace } from './client.ts';
import { readServerConfig, type ServerConfig } from './config.ts';
import { createBlindIndex } from './crypto/blind-index.ts';
import { withSecrets } from './crypto/key-provider.ts';
import { createSealer } from './crypto/payload-seal.ts';
import { rememberedKeys } from './crypto/share-token-keys.ts';
import { buildApp } from './http/app.ts';
import { sayLastAnswers } from './http/last-answers.ts';
import { faultFacts } from './http/logging.ts';
import { askReadiness, sharedProbe } from './http/readiness.ts';
import { openMediaStore } from './media/open-media-store.ts';
import { auditedCodec } from './postgres/audited-codec.ts';
import { handoffTenants } from './postgres/handoff-tenants.ts';
import { databaseAnswers, pendingMigrations } from './postgres/migrate.ts';
import { resealSecrets } from './postgres/reseal-secrets.ts';
import { loadSigningKeys, prepareSigningKeys } from './postgres/signing-keys.ts';
import { createTenants } from './postgres/tenants.ts';
import { actNow, type ActNow } from './relay/act-now.ts';
import { stopWithProblems } from './stop-with-problems.ts';

/** Calls that may wait for each connection of the database; more are 503 at once instead of late. */
const WAITING_PER_CONNECTION = 100;

/** A server that listens. */
export interface RunningServer {
  /** `http://host:port`, with the real port. */
  readonly url: string;
  /** Answers what is under way, takes nothing new, and closes its connections. */
  close(): Promise<void>;
  /** Takes its leave of callers before it closes, so that none loses a request. */
  leave(): Promise<void>;
}

/** Starts the HTTP server. Temporal and the database may be down: `/readyz` says so. */
export async function startServer(config: ServerConfig, logger: pino.Logger): Promise<RunningServer> {
  const onError = (error: unknown) => logger.warn({ fault: faultFacts(error) }, 'left to the relay');
  // Each needs the other; no transaction runs before both are there.
  let acting: ActNow | undefined;
  const tenants = createTenants({
    databaseUrl: config.databaseUrl,
    maxConnections: config.databaseConnections,
    maxWaiting: WAITING_PER_CONNECTION * config.databaseConnections,
    afterCommit: (wishes) => acting?.afterCommit(wishes),
    onConnectionError: (error) => logger.warn({ fault: faultFacts(error) }, 'database connection lost'),
  });
  const audited =
    config.temporalCodec === null
      ? null
      : auditedCodec(config.temporalCodec, {
          namespace: temporalNamespace(),
          tenants,
          onRefused: (refused) =>
            logger.warn({ security: 'payload_refused', ...refused }, 'payload in Temporal refused'),
          onError,
        });
  const client = connectHandoffClient({ codec: audited?.codec });
  const act = actNow(() => ({ tenants, client }), onError);
  acting = act;
  const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
  const handoff = handoffTenants(tenants, sealer, createBlindIndex(config.blindIndexKey));
  const prepare = async () => {
    const signingKeys = await handoff.acrossTenants('secrets', (tx, sql) =>
      prepareSigningKeys({ tx, sql, sealer, actor: { kind: 'system', id: null } }, config.shareTokenKeys),
    );
    for (const [kids, problem] of [
      [signingKeys.differing, 'keys of SHARE_TOKEN_KEYS whose key id is stored with another key, which stays'],
      [signingKeys.unreadable, 'signing keys that no key of KEY_ENCRYPTION_KEYS opens'],
    ] as const) {
      if (kids.length > 0) logger.error({ kids }, problem);
    }
    const { resealed, unreadable } = await resealSecrets(tenants, sealer);
    if (resealed > 0) logger.info({ resealed }, 'secrets sealed with the active key');
    if (unreadable.rows === 0) return;
    const shown = { unreadable: unreadable.rows, of: unreadable.first.map(({ id }) => id) };
    logger.error(shown, 'secrets that no key of KEY_ENCRYPTION_KEYS opens');
  };
  const preparing = untilDone(prepare, (error) => logger.warn({ fault: faultFacts(error) }, 'database not ready'));
  await preparing.firstTry;

  // The same connection, with less patience: a probe that outlives its asker would hold the end up.
  const prober = connectHandoffClient({ client: client.temporal, deadlineMs: 1_500 });
  const temporal = sharedProbe(() => prober.ping());
  const searchAttributes = sharedProbe(() => prober.missingSearchAttributes());
  // Anybody may ask, as often as they like: however many do, one connection answers.
  const database = sharedProbe(() => databaseAnswers(tenants));
  const migrations = sharedProbe(() => pendingMigrations(tenants));
  const media = openMediaStore(config.mediaStore);
  const mailer = config.mail === null ? null : createSmtpMailer(config.mail);
  const app = buildApp({
    tenants: handoff,
    shareTokenKeys: rememberedKeys(() => tenants.acrossTenants('signing_keys', (tx) => loadSigningKeys(tx, sealer))),
    style: { businessStatusCase: config.businessStatusCase },
    webhookUrlRules: config.webhookUrlRules,
    webhookPayloadDays: config.webhookPayloadDays,
    accessTokenKey: config.accessTokenKey,
    mailer,
    showCodes: config.showCodes,
    media,
    mediaLinkKey: config.mediaLinkKey,
    publicUrl: config.publicUrl,
    rateLimits: config.rateLimits,
    registrationsPerHour: config.registrationsPerHour,
    ...(config.trustProxy.length > 0 && { trustProxy: [...config.trustProxy] }),
    logger,
    readiness: () =>
      askReadiness({
        database: database.ask,
        pendingMigrations: migrations.ask,
        temporal: temporal.ask,
        missingSearchAttributes: searchAttributes.ask,
      }),
  });
  const url = await app.listen({ host: config.host, port: config.port });
  const close = async () => {
    await app.close();
    await mailer?.close();
    await preparing.stop();
    // Temporal's client must not be closed under a call.
    await Promise.all([act.idle(), ...[temporal, searchAttributes, database, migrations].map((probe) => probe.idle())]);
    await client.close();
    await audited?.stop();
    await media.close();
    await tenants.close();
  };
  return {
    url,
    close,
    leave: async () => {
      await sayLastAnswers(app.server);
      await close();
    },
  };
}

const RETRY_MS = 2_000;

/** Tries until it succeeds, so that a database that comes late is no reason to die. */
function untilDone(work: () => Promise<unknown>, onError: (error: unknown) => void) {
  const stopping = new AbortController();
  const attempt = () =>
    work().then(
      () => true,
      (error: unknown) => {
        onError(error);
        return false;
      },
    );
  const firstTry = attempt();
  const done = (async () => {
    let succeeded = await firstTry;
    while (!succeeded && !stopping.signal.aborted) {
      await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!stopping.signal.aborted) succeeded = await attempt();
    }
  })();
  return {
    firstTry,
    stop: () => {
      stopping.abort();
      return done;
    },
  };
}

if (import.meta.main) {
  const given = await withSecrets(process.env);
  const config = 'problems' in given ? given : readServerConfig(given.env);
  if ('problems' in config) stopWithProblems(config.problems);
  const logger = pino({ level: config.logLevel, base: { name: 'server' } });
  const server = await startServer(config, logger).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    // listen(2) names the address in its own sentence.
    stopWithProblems([`cannot listen on HOST ${config.host}, PORT ${config.port}: ${code ?? message}`]);
  });
  logger.info({ url: server.url }, 'listening');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      logger.info({ signal }, 'closing');
      server.leave().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error({ fault: faultFacts(error) }, 'closed badly');
          process.exit(1);
        },
      );
    });
  }
}
