import { canonicalText } from './canonical-text.ts';
import type { Delivery } from './delivery.ts';
import { parseEventBody, type EventBody, type VerifiedBody } from './event-body.ts';
import { utf8, type SecretKeys } from './secrets.ts';
import { decodeHex, isSigned } from './signatures.ts';
import { noMatch, WebhookVerificationError } from './verification-error.ts';

/**
 * Verifies by Didit's headers. One of the two signatures will do: whoever writes JSON anew on the way breaks the one over
 * the bytes. Both are over the body alone, so the time is the one in it, which `X-Timestamp` may only repeat.
 *
 * @throws {WebhookVerificationError}
 */
export async function byDidit({ header, bytes }: Delivery, secrets: readonly SecretKeys[]): Promise<VerifiedBody> {
  const [overCanonical, overBytes, timestamp] = ['x-signature-v2', 'x-signature', 'x-timestamp'].map(header);
  const unsigned = overCanonical === undefined && overBytes === undefined;
  if (unsigned && header('x-signature-simple') !== undefined) {
    throw new WebhookVerificationError(
      'simple_signature_only',
      'X-Signature-Simple does not cover the decision: X-Signature-V2 or X-Signature is needed.',
    );
  }
  if (unsigned || timestamp === undefined) {
    throw new WebhookVerificationError(
      'missing_headers',
      'X-Signature-V2 or X-Signature, and X-Timestamp, are needed.',
    );
  }
  const keys = secrets.map(({ didit }) => didit);
  const byBytes = await isSigned(bytes, keys, [decodeHex(overBytes)]);
  const canonicalSignature = decodeHex(overCanonical);
  if (!byBytes && canonicalSignature === null) throw noMatch();
  const body = parseEventBody(bytes);
  const isGenuine = byBytes || (await isSigned(utf8(canonicalText(body)), keys, [canonicalSignature]));
  if (!isGenuine) throw noMatch();
  return { body, signedAt: timeOf(body, timestamp) };
}

/** The header is not signed: it can only contradict. */
function timeOf({ timestamp }: EventBody, header: string): number {
  if (typeof timestamp !== 'number' || !Number.isSafeInteger(timestamp)) {
    throw new WebhookVerificationError('malformed_body', 'The body has no timestamp in whole Unix seconds.');
  }
  if (String(timestamp) !== header) {
    throw new WebhookVerificationError('timestamp_mismatch', 'X-Timestamp is not the timestamp of the body.');
  }
  return timestamp;
}
