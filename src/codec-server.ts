import './node-version.ts';
import pino from 'pino';
import { temporalNamespace } from './client.ts';
import { readCodecServerConfig, type CodecServerConfig } from './config.ts';
import { withSecrets } from './crypto/key-provider.ts';
import { readSsoTokens } from './crypto/sso-token.ts';
import { createTemporalCodec } from './crypto/temporal-codec.ts';
import { buildCodecApp } from './http/codec-app.ts';
import { faultFacts } from './http/logging.ts';
import { sharedProbe } from './http/readiness.ts';
import { errorKind } from './logging.ts';
import { tellOfDecoding } from './postgres/codec-events.ts';
import { loginProblem } from './postgres/login-problem.ts';
import { createTenants, type Tenants } from './postgres/tenants.ts';
import { stopWithProblems } from './stop-with-problems.ts';

/** A codec server that listens. */
export interface RunningCodecServer {
  /** `http://host:port`, with the real port. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the codec server of the namespace that Temporal's own environment names. */
export async function startCodecServer(config: CodecServerConfig, logger: pino.Logger): Promise<RunningCodecServer> {
  const namespace = temporalNamespace();
  const tenants = createTenants({
    databaseUrl: config.databaseUrl,
    maxConnections: 2,
    onConnectionError: (error) => logger.warn({ fault: faultFacts(error) }, 'database connection lost'),
  });
  // Anybody may ask, as often as they like: however many do, one connection answers.
  const audit = sharedProbe(() => auditProblem(tenants));
  const app = buildCodecApp({
    codec: createTemporalCodec({ ...config.temporalCodec, namespace }),
    namespace,
    uiOrigin: config.uiOrigin,
    operators: {
      tokens: config.operators,
      readSsoToken: config.singleSignOn === null ? null : readSsoTokens(config.singleSignOn),
    },
    audit: (decoding) => tenants.acrossTenants('codec', async (tx) => tellOfDecoding(tx, decoding)),
    auditProblem: audit.ask,
    logger,
  });
  void audit.ask().then((problem) => {
    if (problem !== null) logger.error({ problem }, 'nothing can be decoded: the audit trail cannot be written');
  });
  const url = await app.listen({ host: config.host, port: config.port });
  return {
    url,
    close: async () => {
      await app.close();
      await tenants.close();
    },
  };
}

/** What keeps events from being written: a login that lacks the role, or a database that is away. */
function auditProblem(tenants: Tenants): Promise<string | null> {
  return tenants
    .acrossTenants('codec', (tx) => tx.query('select'))
    .then(
      () => null,
      (error: unknown) =>
        loginProblem(error, 'codec', 'handoff_codec_server') ??
        `the database in DATABASE_URL does not answer (${errorKind(error).code ?? errorKind(error).error})`,
    );
}

if (import.meta.main) {
  const given = await withSecrets(process.env);
  const config = 'problems' in given ? given : readCodecServerConfig(given.env);
  if ('problems' in config) stopWithProblems(config.problems);
  const logger = pino({ level: config.logLevel, base: { name: 'codec-server' } });
  const server = await startCodecServer(config, logger).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    stopWithProblems([`cannot listen on CODEC_HOST ${config.host}, CODEC_PORT ${config.port}: ${code ?? message}`]);
  });
  logger.info({ url: server.url }, 'listening');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
}
