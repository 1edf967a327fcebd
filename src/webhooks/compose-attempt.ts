import { canonicalJson } from '../crypto/canonical-json.ts';
import {
  membersOf,
  readMember,
  takesMoreThan,
  textOfMembers,
  type CanonicalMembers,
} from '../crypto/canonical-members.ts';
import { signShareToken } from '../crypto/share-token.ts';
import { signWebhook } from '../crypto/webhook-signature.ts';
import { isJsonObject } from '../domain/json.ts';
import { mayHoldMediaReference } from '../domain/media-references.ts';
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
): Promise<{ body: Buffer; headers: Record<string, string>; leftOut: readonly string[] }> {
  const content = contentOf(delivery, nowSeconds);
  putFreshLinks(content, delivery, mediaUrl);
  const leftOut = leftOutOf(content, delivery);
  leaveOut(content, leftOut);
  if (delivery.token !== null) {
    const { kid, claims } = delivery.token;
    content.set('share_token', canonicalJson(await signShareToken(shareTokenKeys, kid, claims)));
  }
  const [current, ...previous] = delivery.secrets;
  if (current === undefined) throw new Error('a webhook destination has a secret');
  // Encoded once, for what is signed and what is sent.
  const body = Buffer.from(textOfMembers(content));
  const sessionId = readMember(content, 'session_id');
  const status = readMember(content, 'status');
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

function putFreshLinks(
  content: CanonicalMembers,
  { media }: ClaimedDelivery,
  mediaUrl: AttemptTools['mediaUrl'],
): void {
  if (media === null || !mayHoldMediaReference(content.get('decision') ?? '')) return;
  const decision = readMember(content, 'decision');
  if (isJsonObject(decision)) content.set('decision', canonicalJson(withLinks(decision, media, media, { mediaUrl })));
}

/** What a thin destination fetches itself, when it wants it: whatever tells more of a person than ids and states. */
const LEFT_OUT_OF_THIN = ['decision', 'changes', 'metadata'];

/** Members that a body has no place for: those that a thin destination lacks, and a decision that is too large with its links. */
function leftOutOf(content: CanonicalMembers, { eventType, payloadMode }: ClaimedDelivery): readonly string[] {
  // A ping's metadata is a mark of ours.
  if (eventType === 'webhook.ping') return [];
  if (payloadMode === 'thin') return LEFT_OUT_OF_THIN.filter((name) => content.has(name));
  return content.has('decision') && takesMoreThan(MAX_BODY_BYTES, content) ? ['decision'] : [];
}

/**
 * What an attempt's body says, before a share token joins it, and members that it has no place for leave it.
 *
 * @param timestamp Unix seconds of the attempt
 */
export function contentOf(
  { eventId, createdAt, sequence, payload }: Pick<ClaimedDelivery, 'payload' | 'eventId' | 'createdAt' | 'sequence'>,
  timestamp: number,
): CanonicalMembers {
  return membersOf(payload)
    .set('event_id', canonicalJson(eventId))
    .set('sequence', canonicalJson(sequence))
    .set('created_at', canonicalJson(createdAt))
    .set('timestamp', canonicalJson(timestamp));
}

/** Puts `<member>_omitted: true` in the place of each of these members that is there. */
export function leaveOut(content: CanonicalMembers, names: readonly string[]): void {
  for (const name of names) if (content.delete(name)) content.set(`${name}_omitted`, 'true');
}
