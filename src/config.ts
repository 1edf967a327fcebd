import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { parseKeyRing, type KeyRing } from './crypto/key-ring.ts';
import type { MediaStoreConfig } from './media/ports.ts';
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

/** What processes need that read or write sessions' content. */
export interface ContentConfig {
  /** 32 bytes or more: what sessions are searched by is hashed with it. Must never change. */
  readonly blindIndexKey: Uint8Array;
  /** Keys that wrap the data keys of sessions and seal other content, the first for what is new. */
  readonly contentEncryptionKeys: KeyRing;
  readonly mediaStore: MediaStoreConfig;
}

export interface OnboardingWorkerConfig extends CommonConfig, ContentConfig {
  /** Days for which the relay keeps what webhooks told, and the log of their deliveries. */
  readonly webhookRetention: { readonly payloadDays: number; readonly logDays: number };
}

/** What signed links to files are made of. */
export interface MediaLinkConfig {
  /** Our own origin as clients reach it, without a slash at the end. */
  readonly publicUrl: string;
  readonly mediaLinkKey: Uint8Array;
}

export interface ServerConfig extends CommonConfig, ContentConfig, MediaLinkConfig {
  readonly host: string;
  readonly port: number;
  /** Proxies whose `X-Forwarded-*` headers are believed, for links and client addresses. */
  readonly trustProxy: readonly string[];
  readonly shareTokenKeys: KeyRing;
  /** Keys that stored secrets are encrypted with, the first for new ones. */
  readonly keyEncryptionKeys: KeyRing;
  readonly webhookUrlRules: WebhookUrlRules;
  /** Days for which the payloads of events are kept: no longer stretch can be sent again. */
  readonly webhookPayloadDays: number;
  /** Signs access tokens of people, and nothing else. */
  readonly accessTokenKey: Uint8Array;
  /** A key's calls in a minute. */
  readonly rateLimits: RateLimits;
  /** Accounts that one address may register in an hour. */
  readonly registrationsPerHour: number;
  /** Where codes are mailed by; without it nobody can register, unless codes are shown. */
  readonly mail: MailConfig | null;
  /** One-time codes that no mail is sent for are logged and can be read by anybody: development only. */
  readonly showCodes: boolean;
}

/** Calls a minute that one API key may make. */
export interface RateLimits {
  readonly reads: number;
  readonly writes: number;
}

export interface MailConfig {
  /** `smtp://` or `smtps://`, with user and password. */
  readonly smtpUrl: string;
  readonly from: string;
}

export interface WebhooksConfig extends CommonConfig, ContentConfig, MediaLinkConfig {
  readonly shareTokenKeys: KeyRing;
  readonly keyEncryptionKeys: KeyRing;
  readonly webhookUrlRules: WebhookUrlRules;
}

/** Whether this is production, however it is spelled: what is for development is refused there. */
export function isProduction(env: Environment): boolean {
  return /^prod(uction)?$/i.test(env['NODE_ENV']?.trim() ?? '');
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
const MAKE_A_KEY = `node -p "require('node:crypto').randomBytes(32).toString('base64url')"`;

/** A secret of 32 random bytes or more, in base64url. */
const secretKey = z
  .string({ error: `is missing: make one with ${MAKE_A_KEY}` })
  .transform((text) => (/^[\w-]+=*$/.test(text) ? Buffer.from(text, 'base64url') : Buffer.alloc(0)))
  .refine((key) => key.length >= 32, `must be at least 32 random bytes in base64url: make one with ${MAKE_A_KEY}`);

const keyRing = z
  .string({ error: 'is missing: set it to kid:key, the key being 32 random bytes in base64url' })
  .transform((text, context) => {
    try {
      return parseKeyRing(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });

const contentShape = {
  BLIND_INDEX_KEY: secretKey,
  CONTENT_ENCRYPTION_KEYS: keyRing,
  MEDIA_STORE: z
    .string({ error: 'is missing: set it to file:///a/folder or s3://bucket/prefix' })
    .transform((text, context): MediaStoreConfig => {
      const url = URL.canParse(text) ? new URL(text) : null;
      if (url?.protocol === 'file:') return { kind: 'directory', folder: fileURLToPath(url) };
      if (url?.protocol === 's3:' && url.host !== '') {
        return { kind: 's3', bucket: url.host, prefix: url.pathname.replace(/^\/|\/$/g, ''), endpoint: null };
      }
      context.addIssue({ code: 'custom', message: 'must be file:///a/folder or s3://bucket/prefix' });
      return z.NEVER;
    }),
  S3_ENDPOINT: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
};

const mediaLinkShape = {
  MEDIA_LINK_KEY: secretKey,
  PUBLIC_URL: z
    .url({
      protocol: /^https?$/,
      error: 'is missing: set it to the origin that clients use, e.g. https://api.example.com',
    })
    .transform((text) => new URL(text).origin),
};

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

const showCodes = (env: Environment) =>
  z
    .enum(['true', 'false'], 'must be true or false')
    .default('false')
    .transform((text) => text === 'true')
    .refine((shown) => !shown || !isProduction(env), {
      error: 'is for development: whoever asks reads any code, so it is refused when NODE_ENV=production',
    });

const webhookUrlRules = (env: Environment) =>
  addresses()
    .refine((cidrs) => cidrs.length === 0 || !isProduction(env), {
      error: 'is for development: it opens private addresses to webhooks and is refused when NODE_ENV=production',
    })
    // Whoever opens private addresses is developing: receivers there have no certificate and any port.
    .transform((allowedCidrs): WebhookUrlRules =>
      allowedCidrs.length === 0
        ? { allowHttp: false, allowedPorts: [], allowedCidrs }
        : { allowHttp: true, allowedPorts: 'any', allowedCidrs },
    );

const payloadDays = wholeNumber(1, 365).default(30);

/** What `migrate` needs: `DATABASE_URL`. */
export function readDatabaseConfig(env: Environment): Reading<DatabaseConfig> {
  return read(databaseShape, env, (values) => ({ databaseUrl: values.DATABASE_URL }));
}

/** What the onboarding worker needs: the database and what content is stored by; Temporal's own variables are read by its client. */
export function readWorkerConfig(env: Environment): Reading<OnboardingWorkerConfig> {
  const shape = {
    ...commonShape,
    ...contentShape,
    WEBHOOK_PAYLOAD_DAYS: payloadDays,
    WEBHOOK_LOG_DAYS: wholeNumber(1, 3_650).default(90),
  };
  const reading = read(shape, env, (values) => ({
    ...common(values),
    ...content(values),
    webhookRetention: { payloadDays: values.WEBHOOK_PAYLOAD_DAYS, logDays: values.WEBHOOK_LOG_DAYS },
  }));
  if ('problems' in reading) return reading;
  // A log that ended before its payloads would say nothing of what can still be sent again.
  const { payloadDays: least, logDays } = reading.webhookRetention;
  return logDays >= least
    ? reading
    : { problems: [`WEBHOOK_LOG_DAYS must be WEBHOOK_PAYLOAD_DAYS (${least}) or more`] };
}

/** What the HTTP server needs. */
export function readServerConfig(env: Environment): Reading<ServerConfig> {
  const shape = {
    ...commonShape,
    ...contentShape,
    ...mediaLinkShape,
    SHARE_TOKEN_KEYS: keyRing,
    KEY_ENCRYPTION_KEYS: keyRing,
    WEBHOOK_ALLOWED_CIDRS: webhookUrlRules(env),
    WEBHOOK_PAYLOAD_DAYS: payloadDays,
    ACCESS_TOKEN_KEY: secretKey,
    RATE_LIMIT_READS: wholeNumber(1, 10_000_000).default(600),
    RATE_LIMIT_WRITES: wholeNumber(1, 10_000_000).default(300),
    REGISTRATIONS_PER_HOUR: wholeNumber(1, 1_000_000).default(5),
    SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'must be an smtp:// or smtps:// URL' }).optional(),
    SHOW_ONE_TIME_CODES: showCodes(env),
    MAIL_FROM: z.string().min(3).default('Handoff <no-reply@localhost>'),
    TRUST_PROXY: addresses(),
    HOST: z.string().min(1).default('127.0.0.1'),
    PORT: wholeNumber(0, 65_535).default(8080),
  };
  return read(shape, env, (values) => ({
    ...common(values),
    ...content(values),
    ...mediaLinks(values),
    accessTokenKey: values.ACCESS_TOKEN_KEY,
    rateLimits: { reads: values.RATE_LIMIT_READS, writes: values.RATE_LIMIT_WRITES },
    registrationsPerHour: values.REGISTRATIONS_PER_HOUR,
    mail: values.SMTP_URL === undefined ? null : { smtpUrl: values.SMTP_URL, from: values.MAIL_FROM },
    showCodes: values.SHOW_ONE_TIME_CODES,
    host: values.HOST,
    port: values.PORT,
    trustProxy: values.TRUST_PROXY,
    shareTokenKeys: values.SHARE_TOKEN_KEYS,
    keyEncryptionKeys: values.KEY_ENCRYPTION_KEYS,
    webhookUrlRules: values.WEBHOOK_ALLOWED_CIDRS,
    webhookPayloadDays: values.WEBHOOK_PAYLOAD_DAYS,
  }));
}

/** What the webhooks worker needs. */
export function readWebhooksConfig(env: Environment): Reading<WebhooksConfig> {
  const shape = {
    ...commonShape,
    ...contentShape,
    ...mediaLinkShape,
    SHARE_TOKEN_KEYS: keyRing,
    KEY_ENCRYPTION_KEYS: keyRing,
    WEBHOOK_ALLOWED_CIDRS: webhookUrlRules(env),
  };
  return read(shape, env, (values) => ({
    ...common(values),
    ...content(values),
    ...mediaLinks(values),
    shareTokenKeys: values.SHARE_TOKEN_KEYS,
    keyEncryptionKeys: values.KEY_ENCRYPTION_KEYS,
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

function content(values: z.output<z.ZodObject<typeof contentShape>>): ContentConfig {
  const { MEDIA_STORE: store, S3_ENDPOINT: endpoint } = values;
  return {
    blindIndexKey: values.BLIND_INDEX_KEY,
    contentEncryptionKeys: values.CONTENT_ENCRYPTION_KEYS,
    mediaStore: store.kind === 's3' ? { ...store, endpoint: endpoint ?? null } : store,
  };
}

function mediaLinks(values: z.output<z.ZodObject<typeof mediaLinkShape>>): MediaLinkConfig {
  return { publicUrl: values.PUBLIC_URL, mediaLinkKey: values.MEDIA_LINK_KEY };
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
