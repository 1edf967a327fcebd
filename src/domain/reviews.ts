import type { JsonObject, JsonValue } from './json.ts';

/** What happened to a session, in Didit's words (contract/didit-api.md 2.8): those that happen here. */
export const ACTIVITY_TYPES = ['COMMENT', 'STATUS_UPDATED'] as const;
export const ACTOR_TYPES = ['API_KEY', 'CONSOLE_USER', 'SYSTEM'] as const;

/** What a list of reviews tells of one beyond the review itself. */
export interface ReviewActivity {
  readonly activity_type: (typeof ACTIVITY_TYPES)[number];
  readonly actor_type: (typeof ACTOR_TYPES)[number];
  readonly previous_status: string | null;
  readonly metadata: JsonValue;
}

/** An activity of an API key, with what is not said left empty. */
export function reviewActivity(said: Pick<ReviewActivity, 'activity_type'> & Partial<ReviewActivity>): ReviewActivity {
  return { actor_type: 'API_KEY', previous_status: null, metadata: null, ...said };
}

/** One item of `GET /v3/sessions/{id}/reviews/`. */
export interface ReviewItem extends ReviewActivity {
  /** Made of the session's id and the review's position, so always the same. */
  readonly uuid: string;
  readonly actor_display: string;
  readonly actor_email: string | null;
  readonly new_status: string | null;
  readonly comment: string | null;
  readonly mentioned_emails: readonly string[];
  readonly previous_value: string | null;
  readonly new_value: string | null;
  readonly changed_fields: readonly string[];
  readonly created_at: string;
}

/**
 * Renders a review for its session's list. One that came with a record from elsewhere tells what it can; of one that came
 * with an import nobody knows the author.
 *
 * @param review put together for its reader
 * @param activity null when the review was not made here
 */
export function reviewItem(
  at: { readonly sessionId: string; readonly position: number; readonly sessionCreatedAt: string },
  review: JsonObject,
  activity: ReviewActivity | null,
): ReviewItem {
  const email = textOf(review, 'actor_email') ?? emailIn(textOf(review, 'user'));
  return {
    uuid: reviewId(at.sessionId, at.position),
    actor_display: textOf(review, 'actor_display') ?? textOf(review, 'user') ?? 'Unknown',
    actor_email: email,
    new_status: textOf(review, 'new_status'),
    comment: textOf(review, 'comment'),
    mentioned_emails: textsOf(review, 'mentioned_emails'),
    previous_value: textOf(review, 'previous_value'),
    new_value: textOf(review, 'new_value'),
    changed_fields: textsOf(review, 'changed_fields'),
    created_at: textOf(review, 'created_at') ?? at.sessionCreatedAt,
    ...(activity ?? {
      activity_type: textOf(review, 'new_status') === null ? 'COMMENT' : 'STATUS_UPDATED',
      actor_type: email === null ? 'SYSTEM' : 'CONSOLE_USER',
      previous_status: textOf(review, 'previous_status'),
      metadata: review['metadata'] ?? null,
    }),
  };
}

const NODES = 0x1_0000_0000_0000n;

/** The session's id, moved on by the review's position: a well-formed UUID that no other review of the session has. */
export function reviewId(sessionId: string, position: number): string {
  return sessionId.slice(0, -12) + ((nodeOf(sessionId) + BigInt(position + 1)) % NODES).toString(16).padStart(12, '0');
}

/** The position behind {@link reviewId}. */
export function reviewPosition(sessionId: string, id: string): number {
  return Number((nodeOf(id) - nodeOf(sessionId) - 1n + NODES) % NODES);
}

function nodeOf(id: string): bigint {
  return BigInt(`0x${id.slice(-12)}`);
}

function emailIn(text: string | null): string | null {
  return text !== null && /^[^\s@]+@[^\s@]+$/.test(text) ? text : null;
}

function textOf(object: JsonObject, member: string): string | null {
  const value = object[member];
  return typeof value === 'string' ? value : null;
}

function textsOf(object: JsonObject, member: string): string[] {
  const value = object[member];
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : [];
}
