import { createHmac, timingSafeEqual } from 'node:crypto';
import type { LinkTarget } from '../sharing/decision.ts';

/** A link lives this long. */
const LIFETIME_SECONDS = 15 * 60;

/** What a link says, once its signature was proven. */
export interface ProvenLink {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly mediaId: string;
  /** Unix seconds. */
  readonly expires: number;
}

export interface MediaLinkOptions {
  /** Our own origin, without a slash at the end. */
  readonly publicUrl: string;
  readonly mediaLinkKey: Uint8Array;
}

/** Makes links: each is one application's way to one file of one session, for a quarter of an hour. */
export function mediaUrls({ publicUrl, mediaLinkKey }: MediaLinkOptions): (file: LinkTarget) => string {
  return ({ applicationId, sessionId, mediaId, nowSeconds }) => {
    const expires = nowSeconds + LIFETIME_SECONDS;
    const signature = sign(mediaLinkKey, { applicationId, sessionId, mediaId, expires }).toString('base64url');
    return (
      `${publicUrl}/v1/media/${sessionId}/${mediaId}/` +
      `?application=${applicationId}&expires=${expires}&signature=${signature}`
    );
  };
}

/** What a link says when it is one of ours, word for word; null otherwise. Says nothing of its age. */
export function proveLink(
  mediaLinkKey: Uint8Array,
  link: Readonly<Record<'applicationId' | 'sessionId' | 'mediaId' | 'expires' | 'signature', unknown>>,
): ProvenLink | null {
  const { applicationId, sessionId, mediaId, expires, signature } = link;
  if (typeof applicationId !== 'string' || typeof sessionId !== 'string' || typeof mediaId !== 'string') return null;
  if (typeof expires !== 'string' || !/^[1-9]\d{0,11}$/.test(expires) || typeof signature !== 'string') return null;
  const claimed: ProvenLink = { applicationId, sessionId, mediaId, expires: Number(expires) };
  const right = Buffer.from(sign(mediaLinkKey, claimed).toString('base64url'));
  // As text: its last character has spare bits, and several would decode to the same bytes.
  const given = Buffer.from(signature);
  return given.length === right.length && timingSafeEqual(given, right) ? claimed : null;
}

function sign(key: Uint8Array, { applicationId, sessionId, mediaId, expires }: ProvenLink): Buffer {
  return createHmac('sha256', key).update(`media-link|${applicationId}|${sessionId}|${mediaId}|${expires}`).digest();
}
