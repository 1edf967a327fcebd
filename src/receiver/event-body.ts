import { refuseAmbiguous } from './ambiguous-json.ts';
import { WebhookVerificationError } from './verification-error.ts';

/** What every webhook's body is, before it is known which. */
export interface EventBody {
  readonly webhook_type: string;
  readonly timestamp?: unknown;
}

/** A body whose signature holds. */
export interface VerifiedBody {
  readonly body: EventBody;
  /** Unix seconds, as signed. */
  readonly signedAt: number;
}

/**
 * Parses a webhook's bytes, but only what every parser reads alike.
 *
 * @throws {WebhookVerificationError} `malformed_body`
 */
export function parseEventBody(bytes: Uint8Array): EventBody {
  const body = parse(bytes);
  if (typeof body !== 'object' || body === null || !('webhook_type' in body) || typeof body.webhook_type !== 'string') {
    throw new WebhookVerificationError('malformed_body', 'The body is not an event: an object with a webhook_type.');
  }
  return body as EventBody;
}

function parse(bytes: Uint8Array): unknown {
  try {
    // A byte order mark is no JSON: it stays, and is refused.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    refuseAmbiguous(text);
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof WebhookVerificationError) throw error;
    throw new WebhookVerificationError('malformed_body', 'The body is not JSON in UTF-8.');
  }
}
