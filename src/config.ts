import type { KeyObject } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { isPublicKey, readSigningKey } from './audit/anchors.ts';
import type { AnchorStoreConfig } from './audit/ports.ts';
import { MAKE_A_KEY, parseKeyRing, type KeyRing } from './crypto/key-ring.ts';
import type { SingleSignOn } from './crypto/sso-token.ts';
import { keyProblems } from './crypto/weak-key.ts';
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
  /** How payloads in Temporal are encrypted; `null` where they are not. */
  readonly temporalCodec: TemporalCodecConfig | null;
}

/** The payload codec's settings. */
export interface TemporalCodecConfig {
  /** The first key encrypts, all decrypt. */
  readonly keys: KeyRing;
  /** Payloads that are not encrypted are taken too, for the time of a change-over. */
  readonly acceptPlain: boolean;
}

/** What the codec server needs. */
export interface CodecServerConfig extends DatabaseConfig {
  readonly logLevel: CommonConfig['logLevel'];
  readonly temporalCodec: TemporalCodecConfig;
  readonly host: string;
  readonly port: number;
  /** The origin of Temporal's Web UI: no other page is answered. */
  readonly uiOrigin: string;
  /** Names of operators with the SHA-256 of the token of each. */
  readonly operators: ReadonlyMap<string, Buffer>;
  /** Whose tokens of people are taken; `null` for nobody's. */
  readonly singleSignOn: SingleSignOn | null;
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
  readonly audit: {
    /** Ed25519: signs the anchors of the audit chains. */
    readonly signingKey: KeyObject;
    readonly anchors: AnchorStoreConfig;
    /** The least time between two anchors of one application. */
    readonly anchorSeconds: number;
  };
}

/** What `npm run audit` takes from its environment; what a command lacks it asks for itself. */
export interface AuditConfig {
  readonly databaseUrl: string | null;
  readonly anchors: AnchorStoreConfig | null;
  /** As the onboarding worker has it. */
  readonly anchorSeconds: number;
  readonly signingKey: KeyObject | null;
  /** Each 32 bytes: of every key that ever signed anchors. */
  readonly publicKeys: readonly Uint8Array[];
  /** To compare payloads with what was sealed; `null` leaves them out. */
  readonly contentEncryptionKeys: KeyRing | null;
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
  /** Keys that share tokens are to be signed with, to be taken into the database; `null` leaves it to the server to make one. */
  readonly shareTokenKeys: KeyRing | null;
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

/** What `npm run keys` needs. */
export interface KeysConfig extends DatabaseConfig, ContentConfig {
  readonly keyEncryptionKeys: KeyRing;
}

export interface WebhooksConfig extends CommonConfig, ContentConfig, MediaLinkConfig {
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

const codecShape = {
  TEMPORAL_CODEC_KEYS: keyRing.optional(),
  TEMPORAL_CODEC_ACCEPT_PLAIN: z
    .enum(['true', 'false'], 'must be true or false')
    .default('false')
    .transform((text) => text === 'true'),
};

/** A folder, or a bucket of S3 with a prefix. */
const storePlace = z
  .string({ error: 'is missing: set it to file:///a/folder or s3://bucket/prefix' })
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    if (url?.protocol === 'file:') return { kind: 'directory' as const, folder: fileURLToPath(url) };
    if (url?.protocol === 's3:' && url.host !== '') {
      return { kind: 's3' as const, bucket: url.host, prefix: url.pathname.replace(/^\/|\/$/g, '') };
    }
    context.addIssue({ code: 'custom', message: 'must be file:///a/folder or s3://bucket/prefix' });
    return z.NEVER;
  });
const s3Endpoint = z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional();

const auditSigningKey = z.string({ error: `is missing: make one with ${MAKE_A_KEY}` }).transform((text, context) => {
  const key = /^[\w-]+=*$/.test(text) ? readSigningKey(Buffer.from(text, 'base64url')) : null;
  if (key !== null) return key;
  const message = `must be a seed of 32 random bytes, or an Ed25519 key in PKCS8, in base64url: make one with ${MAKE_A_KEY}`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const anchorSeconds = wholeNumber(1, 86_400).default(60);

const contentShape = {
  BLIND_INDEX_KEY: secretKey,
  CONTENT_ENCRYPTION_KEYS: keyRing,
  MEDIA_STORE: storePlace,
  S3_ENDPOINT: s3Endpoint,
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
    ...codecShape,
    ...contentShape,
    WEBHOOK_PAYLOAD_DAYS: payloadDays,
    WEBHOOK_LOG_DAYS: wholeNumber(1, 3_650).default(90),
    AUDIT_SIGNING_KEY: auditSigningKey,
    AUDIT_ANCHORS: storePlace,
    AUDIT_ANCHOR_SECONDS: anchorSeconds,
  };
  const reading = read(shape, env, (values) => ({
    ...common(values),
    ...content(values),
    webhookRetention: { payloadDays: values.WEBHOOK_PAYLOAD_DAYS, logDays: values.WEBHOOK_LOG_DAYS },
    audit: {
      signingKey: values.AUDIT_SIGNING_KEY,
      anchors: storeAt(values.AUDIT_ANCHORS, values.S3_ENDPOINT),
      anchorSeconds: values.AUDIT_ANCHOR_SECONDS,
    },
  }));
  if ('problems' in reading) return reading;
  // A log that ended before its payloads would say nothing of what can still be sent again.
  const { payloadDays: least, logDays } = reading.webhookRetention;
  return logDays >= least
    ? reading
    : { problems: [`WEBHOOK_LOG_DAYS must be WEBHOOK_PAYLOAD_DAYS (${least}) or more`] };
}

/** What `npm run audit` finds in its environment. */
export function readAuditConfig(env: Environment): Reading<AuditConfig> {
  const shape = {
    DATABASE_URL: databaseShape.DATABASE_URL.optional(),
    CONTENT_ENCRYPTION_KEYS: keyRing.optional(),
    AUDIT_SIGNING_KEY: auditSigningKey.optional(),
    AUDIT_PUBLIC_KEY: z.string().default('').transform(readPublicKeys),
    AUDIT_ANCHORS: storePlace.optional(),
    AUDIT_ANCHOR_SECONDS: anchorSeconds,
    S3_ENDPOINT: s3Endpoint,
  };
  return read(shape, env, (values) => ({
    databaseUrl: values.DATABASE_URL ?? null,
    anchors: values.AUDIT_ANCHORS === undefined ? null : storeAt(values.AUDIT_ANCHORS, values.S3_ENDPOINT),
    anchorSeconds: values.AUDIT_ANCHOR_SECONDS,
    signingKey: values.AUDIT_SIGNING_KEY ?? null,
    publicKeys: values.AUDIT_PUBLIC_KEY,
    contentEncryptionKeys: values.CONTENT_ENCRYPTION_KEYS ?? null,
  }));
}

/** Public keys of a comma-separated list, as `npm run audit -- public-key` prints one. */
function readPublicKeys(text: string, context: z.core.$RefinementCtx): readonly Uint8Array[] {
  const parts = text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
  const keys = parts.map((part) => Buffer.from(part, 'base64url'));
  if (keys.every(isPublicKey)) return keys;
  const message = 'must be public keys as npm run audit -- public-key prints them, separated by commas';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/** What the HTTP server needs. */
export function readServerConfig(env: Environment): Reading<ServerConfig> {
  const shape = {
    ...commonShape,
    ...codecShape,
    ...contentShape,
    ...mediaLinkShape,
    SHARE_TOKEN_KEYS: keyRing.optional(),
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
    shareTokenKeys: values.SHARE_TOKEN_KEYS ?? null,
    keyEncryptionKeys: values.KEY_ENCRYPTION_KEYS,
    webhookUrlRules: values.WEBHOOK_ALLOWED_CIDRS,
    webhookPayloadDays: values.WEBHOOK_PAYLOAD_DAYS,
  }));
}

/** What `npm run keys` needs: the database, and what the server seals with. */
export function readKeysConfig(env: Environment): Reading<KeysConfig> {
  const shape = { ...databaseShape, ...contentShape, KEY_ENCRYPTION_KEYS: keyRing };
  return read(shape, env, (values) => ({
    ...content(values),
    databaseUrl: values.DATABASE_URL,
    keyEncryptionKeys: values.KEY_ENCRYPTION_KEYS,
  }));
}

/** What the webhooks worker needs. */
export function readWebhooksConfig(env: Environment): Reading<WebhooksConfig> {
  const shape = {
    ...commonShape,
    ...codecShape,
    ...contentShape,
    ...mediaLinkShape,
    KEY_ENCRYPTION_KEYS: keyRing,
    WEBHOOK_ALLOWED_CIDRS: webhookUrlRules(env),
  };
  return read(shape, env, (values) => ({
    ...common(values),
    ...content(values),
    ...mediaLinks(values),
    keyEncryptionKeys: values.KEY_ENCRYPTION_KEYS,
    webhookUrlRules: values.WEBHOOK_ALLOWED_CIDRS,
  }));
}

const SHA256_HEX = /^[0-9a-f]{64}$/;
const OPERATOR = /^[A-Za-z0-9._@-]{1,64}$/;

/** `name:sha256` or several, separated by commas. */
const operators = z
  .string()
  .default('')
  .transform((text, context) => {
    const digests = new Map<string, Buffer>();
    for (const entry of text.split(',').map((part) => part.trim())) {
      if (entry === '') continue;
      const [name = '', digest = ''] = entry.split(':', 2);
      if (!OPERATOR.test(name) || !SHA256_HEX.test(digest) || digests.has(name)) {
        context.addIssue({
          code: 'custom',
          message: `must be name:sha256, the SHA-256 of the token in lower-case hex, each name once: see docs/temporal-codec.md`,
        });
        return z.NEVER;
      }
      digests.set(name, Buffer.from(digest, 'hex'));
    }
    return digests;
  });

/** `name:value`; the name may hold colons, as claims that are named by a URL do. */
const claim = z
  .string()
  .regex(/^.+:[^:]+$/, 'must be name:value, a claim that those have who may decode, e.g. groups:handoff-operators')
  .transform((text) => {
    const colon = text.lastIndexOf(':');
    return { name: text.slice(0, colon), value: text.slice(colon + 1) };
  });

/** What the codec server needs. */
export function readCodecServerConfig(env: Environment): Reading<CodecServerConfig> {
  const shape = {
    ...databaseShape,
    LOG_LEVEL: commonShape.LOG_LEVEL,
    ...codecShape,
    TEMPORAL_CODEC_KEYS: keyRing,
    CODEC_HOST: z.string().min(1).default('127.0.0.1'),
    CODEC_PORT: wholeNumber(0, 65_535).default(8234),
    CODEC_UI_ORIGIN: z
      .url({
        protocol: /^https?$/,
        error: "is missing: set it to the origin of Temporal's Web UI, e.g. https://temporal.example.com",
      })
      .transform((text) => new URL(text).origin),
    CODEC_OPERATORS: operators,
    CODEC_JWKS_URL: z
      .url({ protocol: isProduction(env) ? /^https$/ : /^https?$/, error: 'must be an https URL' })
      .optional(),
    CODEC_JWT_ISSUER: z.string().min(1).optional(),
    CODEC_JWT_AUDIENCE: z.string().min(1).optional(),
    CODEC_JWT_CLAIM: claim.optional(),
  };
  const reading = read(shape, env, (values) => {
    const { CODEC_JWKS_URL: jwksUrl, CODEC_JWT_ISSUER: issuer } = values;
    const { CODEC_JWT_AUDIENCE: audience, CODEC_JWT_CLAIM: required } = values;
    const settings = [jwksUrl, issuer, audience, required].filter((value) => value !== undefined).length;
    return {
      settings,
      databaseUrl: values.DATABASE_URL,
      logLevel: values.LOG_LEVEL,
      temporalCodec: { keys: values.TEMPORAL_CODEC_KEYS, acceptPlain: values.TEMPORAL_CODEC_ACCEPT_PLAIN },
      host: values.CODEC_HOST,
      port: values.CODEC_PORT,
      uiOrigin: values.CODEC_UI_ORIGIN,
      operators: values.CODEC_OPERATORS,
      singleSignOn:
        jwksUrl === undefined || issuer === undefined || audience === undefined || required === undefined
          ? null
          : { jwksUrl, issuer, audience, claim: required },
    };
  });
  if ('problems' in reading) return reading;
  const { settings, ...config } = reading;
  if (settings !== 0 && settings !== 4) {
    const names = 'CODEC_JWKS_URL, CODEC_JWT_ISSUER, CODEC_JWT_AUDIENCE and CODEC_JWT_CLAIM';
    return { problems: [`${names} are set together, or none of them`] };
  }
  return config.operators.size > 0 || config.singleSignOn !== null
    ? config
    : { problems: ['CODEC_OPERATORS is missing: nobody could decode anything; see docs/temporal-codec.md'] };
}

function temporalCodec(values: z.output<z.ZodObject<typeof codecShape>>): TemporalCodecConfig | null {
  const { TEMPORAL_CODEC_KEYS: keys, TEMPORAL_CODEC_ACCEPT_PLAIN: acceptPlain } = values;
  return keys === undefined ? null : { keys, acceptPlain };
}

function common(values: z.output<z.ZodObject<typeof commonShape & typeof codecShape>>): CommonConfig {
  return {
    databaseUrl: values.DATABASE_URL,
    databaseConnections: values.DATABASE_CONNECTIONS,
    logLevel: values.LOG_LEVEL,
    healthPort: values.HEALTH_PORT ?? null,
    businessStatusCase: values.BUSINESS_STATUS_CASE,
    temporalCodec: temporalCodec(values),
  };
}

function content(values: z.output<z.ZodObject<typeof contentShape>>): ContentConfig {
  return {
    blindIndexKey: values.BLIND_INDEX_KEY,
    contentEncryptionKeys: values.CONTENT_ENCRYPTION_KEYS,
    mediaStore: storeAt(values.MEDIA_STORE, values.S3_ENDPOINT),
  };
}

/** The place of a store, with the server that an S3 bucket is at. */
function storeAt(
  place: z.output<typeof storePlace>,
  endpoint: string | undefined,
): MediaStoreConfig & AnchorStoreConfig {
  return place.kind === 's3' ? { ...place, endpoint: endpoint ?? null } : place;
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
  if (parsed.success) {
    const problems = keyProblems(parsed.data);
    return problems.length === 0 ? configure(parsed.data) : { problems };
  }
  return { problems: parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`) };
}
