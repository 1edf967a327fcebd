import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { nestsDeeper, type JsonValue } from '../domain/json.ts';
import { canonicalJson } from './canonical-json.ts';

/** A webhook that says it is Didit's. */
export interface SignedWebhook {
  /** The bytes as they came. */
  readonly rawBody: Buffer;
  /** What they say. */
  readonly body: JsonValue;
  /** `X-Signature-V2`: hexadecimal HMAC-SHA256 of the canonical body. */
  readonly signatureV2: string | undefined;
  /** `X-Signature`: hexadecimal HMAC-SHA256 of the bytes. */
  readonly signature: string | undefined;
}

/** Deeper bodies are no decisions, and would overflow a recursion. */
const MAX_DEPTH = 256;

/** An application has at most a current and a previous secret. */
const SECRETS_CHECKED = 2;

const HEX_SHA256 = /^[0-9a-f]{64}$/i;

/** Stands for secrets that are not there, so that their absence costs the same work. */
const NOBODYS_SECRET = randomBytes(32).toString('base64url');

/**
 * Whether one of these secrets signed the webhook, by `X-Signature-V2` or `X-Signature`: proxies that write JSON anew
 * break the second, numbers that languages write differently (`1e-7`, integers beyond 2^53) the first.
 * `X-Signature-Simple` is not looked at: it covers id, status and time but not `decision`, which anybody between could
 * then replace. Takes the same work whatever the secrets, none included.
 *
 * @param secrets at most two, used as literal text as Didit does
 */
export function isSignedByDidit(webhook: SignedWebhook, secrets: readonly string[]): boolean {
  const canonical = nestsDeeper(webhook.body, MAX_DEPTH) ? null : canonicalJson(webhook.body);
  let signed = false;
  for (let index = 0; index < SECRETS_CHECKED; index += 1) {
    const secret = secrets[index];
    const key = secret ?? NOBODYS_SECRET;
    const byCanonical = matches(key, canonical ?? webhook.rawBody, webhook.signatureV2) && canonical !== null;
    const byBytes = matches(key, webhook.rawBody, webhook.signature);
    if (secret !== undefined && (byCanonical || byBytes)) signed = true;
  }
  return signed;
}

function matches(secret: string, message: string | Buffer, signature: string | undefined): boolean {
  const expected = createHmac('sha256', secret).update(message).digest();
  const readable = signature !== undefined && HEX_SHA256.test(signature);
  // What is no signature at all is compared too.
  return timingSafeEqual(expected, readable ? Buffer.from(signature, 'hex') : Buffer.alloc(32)) && readable;
}
