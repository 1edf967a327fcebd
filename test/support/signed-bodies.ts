import { createHmac, randomInt, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { canonicalJson } from '../../src/crypto/canonical-json.ts';
import { diditSecret, signWebhook, standardSecret } from '../../src/crypto/webhook-signature.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import { verifyWebhook, WebhookVerificationError } from '../../src/receiver/index.ts';
import { canonicalObject } from './canonical-arbitrary.ts';
import { verifyInPython } from './python-verifier.ts';

/** How many random bodies are compared: `SIGNED_BODIES`, default 2,000. */
export const SIGNED_BODIES = Number(process.env['SIGNED_BODIES'] ?? 2_000);

/** What independent receivers made of random bodies; all but `bodies` must be 0. */
export interface SignatureComparison {
  readonly bodies: number;
  /** Bodies whose `X-Signature-V2` is another one by Didit's recipe in Python or in JavaScript. */
  readonly differences: number;
  readonly rejectedByStandardWebhooks: number;
  /** Bodies that `handoff/webhooks` did not believe by the headers of one family or the other. */
  readonly rejectedByReceiver: number;
  /** Bodies that it believed with one bit changed, which says something else. */
  readonly acceptedTampered: number;
}

/** Bodies that are drawn and verified at a time, so that millions need no more memory than this many. */
const BATCH = 2_000;

interface Sent {
  readonly body: string;
  /** Both written forms of one secret. */
  readonly secret: string;
  readonly standard: string;
  readonly signature: string;
  readonly headers: Record<string, string>;
}

/**
 * Signs random bodies of the safe profile as the sender does and has them verified by all receivers that we know of: Didit's
 * recipe in Python and in JavaScript, the official Standard Webhooks library, and our own module.
 *
 * @param seed repeats the bodies of another run; default: other ones each time
 */
export async function compareSignatures(count: number, seed = randomInt(2 ** 31)): Promise<SignatureComparison> {
  const sum = { bodies: 0, differences: 0, rejectedByStandardWebhooks: 0, rejectedByReceiver: 0, acceptedTampered: 0 };
  for (let done = 0; done < count; done += BATCH) {
    const sent = sign(Math.min(BATCH, count - done), seed + done);
    const inPython = verifyInPython(sent);
    sum.bodies += sent.length;
    sum.differences += sent.filter((each, index) => inPython[index] !== true || !verifiesInJavaScript(each)).length;
    sum.rejectedByStandardWebhooks += sent.filter((each) => !isAcceptedByLibrary(each)).length;
    for (const each of sent) {
      if (!(await isBelieved(each, 'standard')) || !(await isBelieved(each, 'didit'))) sum.rejectedByReceiver += 1;
      if (await isBelievedTampered(each)) sum.acceptedTampered += 1;
    }
  }
  return sum;
}

function sign(count: number, seed: number): Sent[] {
  const timestampSeconds = Math.floor(Date.now() / 1_000);
  const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 });
  return fc.sample(fc.tuple(canonicalObject, secrets), { numRuns: count, seed }).map(([random, bytes]) => {
    const webhookType = 'status.updated';
    const value: JsonObject = { ...random, webhook_type: webhookType, timestamp: timestampSeconds };
    const body = canonicalJson(value);
    const secret = Buffer.from(bytes);
    const headers = signWebhook({
      eventId: randomUUID(),
      webhookType,
      body,
      timestampSeconds,
      attempt: 1,
      secrets: [secret],
    });
    const signature = headers['x-signature-v2'] ?? '';
    return { body, secret: diditSecret(secret), standard: standardSecret(secret), signature, headers };
  });
}

/** Didit's recipe for receivers in JavaScript. */
function verifiesInJavaScript({ body, secret, signature }: Sent): boolean {
  const sortKeys = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(sortKeys);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.keys(value)
        .sort()
        .map((key) => [key, sortKeys(value[key] ?? null)]),
    );
  };
  const text = JSON.stringify(sortKeys(JSON.parse(body) as JsonValue));
  return createHmac('sha256', secret).update(text).digest('hex') === signature;
}

function isAcceptedByLibrary({ body, standard, headers }: Sent): boolean {
  try {
    new Webhook(standard).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

/** By the module, with the secret in the written form that is not the scheme's own. */
async function isBelieved(
  { headers, secret, standard, body }: Omit<Sent, 'body'> & { readonly body: string | Uint8Array },
  scheme: 'standard' | 'didit' | 'any',
): Promise<boolean> {
  try {
    await verifyWebhook({ headers, body, secrets: scheme === 'didit' ? standard : secret, scheme });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

async function isBelievedTampered(sent: Sent): Promise<boolean> {
  const body = Buffer.from(sent.body);
  const at = randomInt(body.length);
  body[at] = (body[at] ?? 0) ^ (1 << randomInt(8));
  if (!(await isBelieved({ ...sent, body }, 'any'))) return false;
  // The same letter of an escape in the other case is no other content, and V2 is over the content.
  return canonicalJson(JSON.parse(body.toString()) as JsonValue) !== sent.body;
}
