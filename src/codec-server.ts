import pino from 'pino';
import { temporalNamespace } from './client.ts';
import { readCodecServerConfig, type CodecServerConfig } from './config.ts';
import { withSecrets } from './crypto/key-provider.ts';
import { readSsoTokens } from './crypto/sso-token.ts';
import { createTemporalCodec } from './crypto/temporal-codec.ts';
import { buildCodecApp } from './http/codec-app.ts';
import { faultFacts } from './http/logging.ts';
import { tellOfDecoding } from './postgres/codec-events.ts';
import { createTenants } from './postgres/tenants.ts';
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
  const app = buildCodecApp({
    codec: createTemporalCodec({ ...config.temporalCodec, namespace }),
    namespace,
    uiOrigin: config.uiOrigin,
    operators: {
      tokens: config.operators,
      readSsoToken: config.singleSignOn === null ? null : readSsoTokens(config.singleSignOn),
    },
    audit: (decoding) => tenants.acrossTenants('codec', async (tx) => tellOfDecoding(tx, decoding)),
    logger,
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
