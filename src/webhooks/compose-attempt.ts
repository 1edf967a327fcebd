import { canonicalJson } from '../crypto/canonical-json.ts';
import { signShareToken } from '../crypto/share-token.ts';
import { signWebhook } from '../crypto/webhook-signature.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../domain/json.ts';
import { withLinks } from '../sharing/decision.ts';
import type { AttemptTools } from './attempt-delivery.ts';
import type { ClaimedDelivery } from './ports.ts';

/** A signed body holds no more (contract row 30). */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * The exact body and headers of one attempt: stamped and signed anew, the same `event_id` (contract rows 18 to 20).
 * A share token and the links to files are made here, at the moment of sending, and kept nowhere.
 *
 * @param nowSeconds Unix seconds of this attempt
 * @returns the body's content lacks the members `leftOut`
 * @throws {SigningKeyRemoved}
 */
export async function composeAttempt(
  delivery: ClaimedDelivery,
  { shareTokenKeys, mediaUrl, docsUrl }: Pick<AttemptTools, 'shareTokenKeys' | 'mediaUrl' | 'docsUrl'>,
  nowSeconds: number,
): Promise<{ body: string; headers: Record<string, string>; leftOut: readonly string[] }> {
  const full = withFreshLinks(contentOf(delivery, nowSeconds), delivery, mediaUrl);
  const leftOut = leftOutOf(full, delivery);
  const content = withoutMembers(full, leftOut);
  if (delivery.token !== null) {
    const { kid, claims } = delivery.token;
    content['share_token'] = await signShareToken(shareTokenKeys, kid, claims);
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
    // Not the body's own mark, which a session's metadata may have as well.
    test: delivery.eventType === 'webhook.ping',
    docsUrl,
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
    ...(typeof status === 'string' ? { status } : {}),
  });
  return { body, headers, leftOut };
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

/** What a thin destination fetches itself, when it wants it: whatever tells more of a person than ids and states. */
const LEFT_OUT_OF_THIN = ['decision', 'changes', 'metadata'];

/** Members that a body has no place for: those that a thin destination lacks, and a decision that is too large with its links. */
function leftOutOf(content: JsonObject, { eventType, payloadMode }: ClaimedDelivery): readonly string[] {
  // A ping's metadata is a mark of ours.
  if (eventType === 'webhook.ping') return [];
  if (payloadMode === 'thin') return LEFT_OUT_OF_THIN.filter((name) => content[name] !== undefined);
  const fits = content['decision'] === undefined || Buffer.byteLength(canonicalJson(content)) <= MAX_BODY_BYTES;
  return fits ? [] : ['decision'];
}

/**
 * What an attempt's body says, before a share token joins it, and members that it has no place for leave it.
 *
 * @param timestamp Unix seconds of the attempt
 */
export function contentOf(
  { eventId, createdAt, sequence, payload }: Pick<ClaimedDelivery, 'payload' | 'eventId' | 'createdAt' | 'sequence'>,
  timestamp: number,
): JsonObject {
  return { ...payload, event_id: eventId, sequence, created_at: createdAt, timestamp };
}

/** The same with `<member>_omitted: true` in the place of each of these members that is there. */
export function withoutMembers(content: JsonObject, names: readonly string[]): JsonObject {
  const members = Object.entries(content).map(([name, value]): [string, JsonValue] =>
    names.includes(name) ? [`${name}_omitted`, true] : [name, value],
  );
  return Object.fromEntries(members);
}
