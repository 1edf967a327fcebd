import type { Delivery } from './delivery.ts';
import { parseEventBody, type VerifiedBody } from './event-body.ts';
import { decodeBase64, type SecretKeys } from './secrets.ts';
import { isSigned } from './signatures.ts';
import { noMatch, WebhookVerificationError } from './verification-error.ts';

/** One for each live secret; whoever sends more wants to keep a receiver busy. */
const MAX_SIGNATURES = 16;

/**
 * Verifies by Standard Webhooks (`webhook-*`): id, time and the exact bytes are signed. Versions but `v1` are skipped, and so is
 * what comes after the first signatures.
 *
 * @throws {WebhookVerificationError}
 */
export async function byStandardWebhooks(
  { header, bytes }: Delivery,
  secrets: readonly SecretKeys[],
): Promise<VerifiedBody> {
  const [id, timestamp, list] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(header);
  if (id === undefined || timestamp === undefined || list === undefined) {
    throw new WebhookVerificationError('missing_headers', 'webhook-id, -timestamp and -signature are needed.');
  }
  // A full stop parts the members of what is signed.
  if (id.includes('.') || !/^\d{1,12}$/.test(timestamp)) {
    throw new WebhookVerificationError('malformed_headers', 'webhook-id or webhook-timestamp is none.');
  }
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const message = new Uint8Array(head.length + bytes.length);
  message.set(head);
  message.set(bytes, head.length);
  const keys = secrets.flatMap(({ standard }) => standard ?? []);
  const signatures = list
    // `Headers` puts a comma between two headers of one name.
    .split(/,? /)
    .filter((entry) => entry.startsWith('v1,'))
    .slice(0, MAX_SIGNATURES)
    .map((entry) => decodeBase64(entry.slice('v1,'.length)));
  if (!(await isSigned(message, keys, signatures))) throw noMatch();
  return { body: parseEventBody(bytes), signedAt: Number(timestamp) };
}
