import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isUuid } from '../domain/ids.ts';

const SECRET_BYTES = 32;
// The bounds of Standard Webhooks for symmetric secrets.
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What one attempt is signed with. */
export type WebhookToSign = {
  /** The event's id, a lower-case UUID: the same for every attempt and resend. */
  eventId: string;
  /** The event name, as in the body's `webhook_type`. */
  webhookType: string;
  /** The exact body, already canonical: see `canonicalJson`. */
  body: string | Buffer;
  /** Whole seconds of this attempt; must equal the body's `timestamp`. */
  timestampSeconds: number;
  /** 1 for the first attempt. */
  attempt: number;
  /** The destination's live secrets, current first. */
  secrets: readonly [Buffer, ...Buffer[]];
  /** Which of `secrets` signs the Didit headers, which hold one value only. Default 0; during a rotation's grace, the previous one. */
  diditSecretIndex?: number;
  /** Parts of `x-signature-simple`; empty when the event has none. */
  sessionId?: string;
  /** The body's `status`, another part of `x-signature-simple`. */
  status?: string;
  /** True for a test send: adds `x-didit-test-webhook`. */
  test?: boolean;
  /** Where receivers read what is sent to them: named in `user-agent`. */
  docsUrl?: string;
};

/** A fresh secret for one destination: 32 random bytes, which both signature families share. */
export function newWebhookSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/** The form Didit receivers use: base64url text whose UTF-8 bytes, not its decoding, are the HMAC key. */
export function diditSecret(bytes: Buffer): string {
  return bytes.toString('base64url');
}

/** The form Standard Webhooks libraries take: `whsec_` and standard base64 (they throw on base64url). */
export function standardSecret(bytes: Buffer): string {
  return `whsec_${bytes.toString('base64')}`;
}

/**
 * Every header of one signed attempt, names in lower case: Standard Webhooks (`webhook-*`, one `v1` signature per live
 * secret) and Didit (`x-signature-v2` and `x-signature`, equal since the body is canonical, and `x-signature-simple`).
 * @throws {RangeError} on an argument that would sign something no receiver can verify.
 */
export function signWebhook(webhook: WebhookToSign): Record<string, string> {
  const { eventId, webhookType, body, timestampSeconds, attempt, secrets } = webhook;
  const forDidit = secrets[webhook.diditSecretIndex ?? 0];
  if (!isUuid(eventId)) throw new RangeError('eventId: not a lower-case UUID; pass the id of the event row');
  if (!Number.isSafeInteger(timestampSeconds) || timestampSeconds < 0) {
    throw new RangeError('timestampSeconds: not a whole number of seconds; round it down');
  }
  if (!Number.isSafeInteger(attempt) || attempt < 1) throw new RangeError('attempt: not a whole number from 1 up');
  if (forDidit === undefined) throw new RangeError('diditSecretIndex: no such secret; pass an index into secrets');
  if (secrets.some((secret) => secret.length < MIN_SECRET_BYTES || secret.length > MAX_SECRET_BYTES)) {
    throw new RangeError(`secrets: each must have ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes; rotate the secret`);
  }

  const webhookId = `evt_${eventId}`;
  // A key made first: from bytes as they are, `createHmac` takes three times as long.
  const standardSignature = (secret: Buffer): string =>
    `v1,${createHmac('sha256', createSecretKey(secret)).update(`${webhookId}.${timestampSeconds}.`).update(body).digest('base64')}`;
  const diditKey = diditSecret(forDidit);
  const diditSignature = (message: string | Buffer): string =>
    createHmac('sha256', diditKey).update(message).digest('hex');
  const overBody = diditSignature(body);
  return {
    'content-type': 'application/json',
    'user-agent': `Handoff-Webhooks/${version}${webhook.docsUrl === undefined ? '' : ` (+${webhook.docsUrl})`}`,
    'webhook-id': webhookId,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': secrets.map(standardSignature).join(' '),
    'webhook-attempt': String(attempt),
    'x-timestamp': String(timestampSeconds),
    'x-signature-v2': overBody,
    'x-signature': overBody,
    'x-signature-simple': diditSignature(
      `${timestampSeconds}:${webhook.sessionId ?? ''}:${webhook.status ?? ''}:${webhookType}`,
    ),
    ...(webhook.test === true && { 'x-didit-test-webhook': 'true' }),
  };
}
