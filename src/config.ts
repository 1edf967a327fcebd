import { z } from 'zod';
import { parseKeyRing, type KeyRing } from './crypto/key-ring.ts';
import type { WebhookUrlRules } from './webhooks/address-guard.ts';

/** Either a configuration, or one line per problem: which variable, what is wrong, how to mend it. */
export type Reading<Config> = Config | { readonly problems: readonly string[] };

/** The environment, as `process.env` gives it. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface DatabaseConfig {
  readonly databaseUrl: string;
}

/** What every process needs. */
export interface CommonConfig extends DatabaseConfig {
  /** Port of a worker's `GET /healthz` on 127.0.0.1; none by default. */
  readonly healthPort: number | null;
  readonly databaseConnections: number;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug';
  readonly businessStatusCase: 'upper' | 'title';
}

export interface ServerConfig extends CommonConfig {
  readonly host: string;
  readonly port: number;
  /** Proxies whose `X-Forwarded-*` headers are believed, for links and client addresses. */
  readonly trustProxy: readonly string[];
  readonly shareTokenKeys: KeyRing;
  readonly webhookUrlRules: WebhookUrlRules;
}

export interface WebhooksConfig extends CommonConfig {
  readonly shareTokenKeys: KeyRing;
  readonly webhookUrlRules: WebhookUrlRules;
}

const wholeNumber = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.coerce.number(error).int(error).min(least, error).max(most, error);
};

const databaseShape = {
  DATABASE_URL: z
    .string({ error: 'is missing: set it to the Postgres to use, e.g. postgres://handoff:…@db:5432/handoff' })
    .regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL'),
};
const commonShape = {
  ...databaseShape,
  DATABASE_CONNECTIONS: wholeNumber(2, 200).default(10),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug'], 'must be fatal, error, warn, info or debug')
    .default('info'),
  HEALTH_PORT: wholeNumber(1, 65_535).optional(),
  BUSINESS_STATUS_CASE: z.enum(['upper', 'title'], 'must be upper or title').default('upper'),
};
const shareTokenKeys = z
  .string({ error: 'is missing: set it to kid:key, the key being 32 random bytes in base64url' })
  .transform((text, context) => {
    try {
      return parseKeyRing(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });

/** A comma-separated list of networks. */
const addresses = () =>
  z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(z.union([z.cidrv4(), z.cidrv6()], 'must be a comma-separated list such as 127.0.0.0/8,::1/128')));

const webhookUrlRules = (env: Environment) =>
  addresses()
    .refine((cidrs) => cidrs.length === 0 || env['NODE_ENV'] !== 'production', {
      error: 'is for development: it opens private addresses to webhooks and is refused when NODE_ENV=production',
    })
    // Whoever opens private addresses is developing: receivers there have no certificate and any port.
    .transform((allowedCidrs): WebhookUrlRules =>
      allowedCidrs.length === 0
        ? { allowHttp: false, allowedPorts: [], allowedCidrs }
        : { allowHttp: true, allowedPorts: 'any', allowedCidrs },
    );

/** What `migrate` needs: `DATABASE_URL`. */
export function readDatabaseConfig(env: Environment): Reading<DatabaseConfig> {
  return read(databaseShape, env, (values) => ({ databaseUrl: values.DATABASE_URL }));
}

/** What the onboarding worker needs: the database; Temporal's own variables are read by its client. */
export function readWorkerConfig(env: Environment): Reading<CommonConfig> {
  return read(commonShape, env, common);
}

/** What the HTTP server needs. */
export function readServerConfig(env: Environment): Reading<ServerConfig> {
  const shape = {
    ...commonShape,
    SHARE_TOKEN_KEYS: shareTokenKeys,
    WEBHOOK_ALLOWED_CIDRS: webhookUrlRules(env),
    TRUST_PROXY: addresses(),
    HOST: z.string().min(1).default('127.0.0.1'),
    PORT: wholeNumber(0, 65_535).default(8080),
  };
  return read(shape, env, (values) => ({
    ...common(values),
    host: values.HOST,
    port: values.PORT,
    trustProxy: values.TRUST_PROXY,
    shareTokenKeys: values.SHARE_TOKEN_KEYS,
    webhookUrlRules: values.WEBHOOK_ALLOWED_CIDRS,
  }));
}

/** What the webhooks worker needs. */
export function readWebhooksConfig(env: Environment): Reading<WebhooksConfig> {
  const shape = {
    ...commonShape,
    SHARE_TOKEN_KEYS: shareTokenKeys,
    WEBHOOK_ALLOWED_CIDRS: webhookUrlRules(env),
  };
  return read(shape, env, (values) => ({
    ...common(values),
    shareTokenKeys: values.SHARE_TOKEN_KEYS,
    webhookUrlRules: values.WEBHOOK_ALLOWED_CIDRS,
  }));
}

function common(values: z.output<z.ZodObject<typeof commonShape>>): CommonConfig {
  return {
    databaseUrl: values.DATABASE_URL,
    databaseConnections: values.DATABASE_CONNECTIONS,
    logLevel: values.LOG_LEVEL,
    healthPort: values.HEALTH_PORT ?? null,
    businessStatusCase: values.BUSINESS_STATUS_CASE,
  };
}

function read<Shape extends z.core.$ZodLooseShape, Config>(
  shape: Shape,
  env: Environment,
  configure: (values: z.output<z.ZodObject<Shape>>) => Config,
): Reading<Config> {
  // An empty variable is one that is not set.
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = z.object(shape).safeParse(set);
  if (parsed.success) return configure(parsed.data);
  return { problems: parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`) };
}
