import { deliveryOf, type WebhookBody, type WebhookHeaders } from './delivery.ts';
import { byDidit } from './didit.ts';
import type { HandoffWebhookEvent } from './events.ts';
import { keysOf } from './secrets.ts';
import { byStandardWebhooks } from './standard-webhooks.ts';
import { WebhookVerificationError, type WebhookVerificationCode } from './verification-error.ts';

/** What is to be verified, and with what. */
export interface WebhookToVerify {
  readonly headers: WebhookHeaders;
  /** The raw body, before any JSON parser. */
  readonly body: WebhookBody;
  /** One secret, or several of which any will do, as during a rotation; each in either of its written forms. */
  readonly secrets: string | readonly string[];
  /** How far the signed time may be from now, in seconds; default 300. */
  readonly toleranceSeconds?: number;
  /** Unix seconds, not a `Date` and not its milliseconds; default: this machine's clock. */
  readonly now?: number;
  /** Bytes of the longest body that is looked at; default 1 MiB. */
  readonly maxBodyBytes?: number;
  /** Which headers count: `standard` is `webhook-signature`, `didit` is `X-Signature-V2` or `X-Signature`; default `any`. */
  readonly scheme?: 'any' | 'standard' | 'didit';
}

const MAX_BODY_BYTES = 1_048_576;
/** No Unix seconds for some thousand years, and milliseconds since 1973. */
const TOO_LATE = 1e11;

const SCHEMES = {
  any: [byStandardWebhooks, byDidit],
  standard: [byStandardWebhooks],
  didit: [byDidit],
} as const;

/** When no scheme believes a webhook, the failure is told that got furthest. */
const FROM_NEAR_TO_FAR: readonly WebhookVerificationCode[] = [
  'body_too_large',
  'missing_headers',
  'simple_signature_only',
  'malformed_headers',
  'no_match',
  'malformed_body',
  'timestamp_mismatch',
  'stale_timestamp',
];

/**
 * The event of a webhook of Handoff or of Didit, once its signature and its time hold. A `webhook_type` that is younger
 * than this module comes through as it is: keep a default.
 *
 * @throws {WebhookVerificationError} when it must not be believed
 * @throws {TypeError} on a secret, a body or a time that can be none: a mistake of the caller's, not the sender's
 */
export async function verifyWebhook(webhook: WebhookToVerify): Promise<HandoffWebhookEvent> {
  const { headers, body, secrets, toleranceSeconds = 300, now = Date.now() / 1_000, scheme = 'any' } = webhook;
  const { maxBodyBytes = MAX_BODY_BYTES } = webhook;
  if (typeof now !== 'number' || !(now < TOO_LATE)) throw new TypeError('now: Unix seconds, as Date.now() / 1000');
  const keys = [secrets].flat().map(keysOf);
  if (keys.length === 0) throw new TypeError('secrets: at least one is needed');
  const delivery = deliveryOf(headers, body, maxBodyBytes);
  const failures: WebhookVerificationError[] = [];
  for (const verify of SCHEMES[scheme]) {
    try {
      const verified = await verify(delivery, keys);
      if (Math.abs(now - verified.signedAt) <= toleranceSeconds) return verified.body as unknown as HandoffWebhookEvent;
      throw new WebhookVerificationError('stale_timestamp', `Signed more than ${toleranceSeconds} seconds from now.`);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      failures.push(error);
    }
  }
  const distance = ({ code }: WebhookVerificationError) => FROM_NEAR_TO_FAR.indexOf(code);
  throw failures.reduce((told, failure) => (distance(failure) > distance(told) ? failure : told));
}
