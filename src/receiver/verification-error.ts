/**
 * Why a webhook was not believed. Answer it with a 4xx, and log the code.
 * - `body_too_large`: longer than what is verified.
 * - `missing_headers`: no complete set of signature headers.
 * - `simple_signature_only`: only `X-Signature-Simple` is there, which does not cover the decision.
 * - `malformed_headers`: a header is there more than once, or is no time or id.
 * - `no_match`: none of the secrets signed it, or it was changed on its way.
 * - `malformed_body`: not a JSON object of an event in UTF-8, or one that parsers read differently; by `X-Signature-V2` also one with a number from 1e22 on.
 * - `timestamp_mismatch`: `X-Timestamp` is not the time that was signed.
 * - `stale_timestamp`: genuine, but signed too long ago (or in the future): a replay, or a wrong clock.
 */
export type WebhookVerificationCode =
  | 'body_too_large'
  | 'missing_headers'
  | 'simple_signature_only'
  | 'malformed_headers'
  | 'no_match'
  | 'malformed_body'
  | 'timestamp_mismatch'
  | 'stale_timestamp';

/** A webhook that must not be believed. The message holds nothing of the webhook. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError';
  readonly code: WebhookVerificationCode;

  constructor(code: WebhookVerificationCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** No secret signed the body as it came. */
export function noMatch(): WebhookVerificationError {
  return new WebhookVerificationError('no_match', 'No secret made this signature over this body.');
}
