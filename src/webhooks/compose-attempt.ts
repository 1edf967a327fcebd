import { canonicalJson } from '../crypto/canonical-json.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { signShareToken } from '../crypto/share-token.ts';
import { signWebhook } from '../crypto/webhook-signature.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ClaimedDelivery } from './ports.ts';

/** The key that signed a token is not in this process's ring, so the token cannot be made again. */
export class SigningKeyRemoved extends Error {
  override readonly name = 'SigningKeyRemoved';
}

/**
 * The exact body and headers of one attempt: stamped and signed anew, the same `event_id` (contract rows 18 to 20).
 * A share token is made here, at the moment of sending, and kept nowhere.
 *
 * @param nowSeconds Unix seconds of this attempt
 * @throws {SigningKeyRemoved}
 */
export async function composeAttempt(
  delivery: ClaimedDelivery,
  ring: KeyRing,
  nowSeconds: number,
): Promise<{ body: string; headers: Record<string, string> }> {
  const { decision, ...thin } = delivery.payload;
  const stored: JsonObject =
    delivery.payloadMode === 'thin' && decision !== undefined ? { ...thin, decision_omitted: true } : delivery.payload;
  const content: JsonObject = {
    ...stored,
    event_id: delivery.eventId,
    created_at: delivery.createdAt,
    timestamp: nowSeconds,
  };
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
    ...(typeof sessionId === 'string' ? { sessionId } : {}),
    ...(typeof status === 'string' ? { status } : {}),
  });
  return { body, headers };
}
