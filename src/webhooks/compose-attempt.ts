import { canonicalJson } from '../crypto/canonical-json.ts';
import { signShareToken } from '../crypto/share-token.ts';
import { signWebhook } from '../crypto/webhook-signature.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';
import { withLinks } from '../sharing/decision.ts';
import type { AttemptTools } from './attempt-delivery.ts';
import type { ClaimedDelivery } from './ports.ts';

/** A signed body holds no more (contract row 30). */
const MAX_BODY_BYTES = 64 * 1024;

/** The key that signed a token is not in this process's ring, so the token cannot be made again. */
export class SigningKeyRemoved extends Error {
  override readonly name = 'SigningKeyRemoved';
}

/**
 * The exact body and headers of one attempt: stamped and signed anew, the same `event_id` (contract rows 18 to 20).
 * A share token and the links to files are made here, at the moment of sending, and kept nowhere.
 *
 * @param nowSeconds Unix seconds of this attempt
 * @throws {SigningKeyRemoved}
 */
export async function composeAttempt(
  delivery: ClaimedDelivery,
  { shareTokenKeys: ring, mediaUrl }: Pick<AttemptTools, 'shareTokenKeys' | 'mediaUrl'>,
  nowSeconds: number,
): Promise<{ body: string; headers: Record<string, string> }> {
  const content = fitting(withFreshLinks(contentOf(delivery, nowSeconds), delivery, mediaUrl));
  if (delivery.token !== null) {
    const { kid, claims } = delivery.token;
    if (ring.get(kid) === undefined) throw new SigningKeyRemoved();
    content['share_token'] = await signShareToken(ring, kid, claims);
  }
  const [current, ...previous] = delivery.secrets;
  if (current === undefined) throw new Error('a webhook destination has a secret');
  const body = canonicalJson(content);
  const { session_id: sessionId, status } = content;
  const headers = signWebhook({
    eventId: delivery.eventId,
    webhookType: delivery.eventType,
    body,
    timestampSeconds: nowSeconds,
    attempt: delivery.attempt,
    secrets: [current, ...previous],
    diditSecretIndex: delivery.diditHeadersSignedWith === 'previous' && previous.length > 0 ? 1 : 0,
    test: isTest(content),
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
    ...(typeof status === 'string' ? { status } : {}),
  });
  return { body, headers };
}

/** Didit marks a test send in the body as well as in a header. */
function isTest({ metadata }: JsonObject): boolean {
  return isJsonObject(metadata) && metadata['test_webhook'] === true;
}

function withFreshLinks(
  content: JsonObject,
  { media }: ClaimedDelivery,
  mediaUrl: AttemptTools['mediaUrl'],
): JsonObject {
  const { decision } = content;
  if (media === null || !isJsonObject(decision)) return content;
  return { ...content, decision: withLinks(decision, media, media, { mediaUrl }) };
}

/** Links are longer than what they stand for: a decision that no longer fits with them is left out. */
function fitting(content: JsonObject): JsonObject {
  if (content['decision'] === undefined || Buffer.byteLength(canonicalJson(content)) <= MAX_BODY_BYTES) return content;
  return withoutMembers(content, ['decision']);
}

/** What a thin destination fetches itself, when it wants it: whatever tells more of a person than ids and states. */
const LEFT_OUT_OF_THIN = ['decision', 'changes'];

/**
 * What an attempt's body says, before a share token joins it.
 *
 * @param timestamp Unix seconds of the attempt
 */
export function contentOf(
  delivery: Pick<ClaimedDelivery, 'payload' | 'payloadMode' | 'eventId' | 'createdAt' | 'sequence'>,
  timestamp: number,
): JsonObject {
  const { eventId, createdAt, sequence, payload, payloadMode } = delivery;
  const content = { ...payload, event_id: eventId, sequence, created_at: createdAt, timestamp };
  return payloadMode === 'thin' ? withoutMembers(content, LEFT_OUT_OF_THIN) : content;
}

/** The same with `<member>_omitted: true` in the place of each of these members that is there. */
function withoutMembers(content: JsonObject, names: readonly string[]): JsonObject {
  const members = Object.entries(content).map(([name, value]): [string, JsonValue] =>
    names.includes(name) ? [`${name}_omitted`, true] : [name, value],
  );
  return Object.fromEntries(members);
}
