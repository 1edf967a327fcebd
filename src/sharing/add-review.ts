import { takeApart } from '../domain/decision-parts.ts';
import type { Actor } from '../domain/events.ts';
import { Refusal } from '../domain/failures.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import { reviewActivity, reviewId, type ReviewActivity } from '../domain/reviews.ts';
import { renderStatus, type SessionStatus } from '../domain/session-status.ts';
import type { DecisionStyle } from './decision.ts';
import type { HandoffTransaction, LockedSession, SessionLifeStore } from './ports.ts';
import { homeContext } from './store-content.ts';

/** What a review says; a decision shows it so. */
export interface NewReview {
  /** Who is shown as its author. */
  readonly user: string;
  /** Already as the session's kind writes it; null for a comment alone. */
  readonly new_status: string | null;
  readonly comment: string | null;
}

/** A review as `POST …/reviews/` answers it. */
export interface Review extends NewReview {
  /** ISO 8601. */
  readonly created_at: string;
}

/** A reviewer's word: a comment, and a label that changes nothing. */
export interface ReviewCall {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly label: SessionStatus | null;
  readonly comment: string | null;
}

/**
 * Adds a reviewer's word to a session and changes nothing else of it: `POST /v3/sessions/{id}/reviews/`.
 *
 * @returns the review, and its position among the session's reviews
 * @throws {Refusal} `session_not_found`
 */
export async function addReview(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  { applicationId, sessionId, label, comment }: ReviewCall,
  actor: Actor,
  style: DecisionStyle,
): Promise<{ readonly position: number; readonly review: Review }> {
  const locked = await store.lock(applicationId, sessionId);
  if (locked === null) throw new Refusal('session_not_found');
  const { kind } = locked.session;
  const new_status = label === null ? null : renderStatus(kind, label, style.businessStatusCase);
  const said = { user: 'Unknown', new_status, comment };
  const review = appendReview(tx, store, locked, said, reviewActivity({ activity_type: 'COMMENT' }));
  const subjectId = reviewId(sessionId, locked.nextReview);
  tx.events.record([{ type: 'session.reviewed', applicationId, sessionId, subjectId }], actor);
  return { position: locked.nextReview, review };
}

/** Writes the next review of a locked session. Its author and everything but verdict, comment and time stay home. */
export function appendReview(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  { session, key, now, nextReview }: LockedSession,
  { user, new_status, comment }: NewReview,
  activity: ReviewActivity,
): Review {
  const { applicationId, sessionId } = session;
  const sealHome = (category: string, value: JsonValue) =>
    tx.sealer.sealPayload(homeContext(session, category, nextReview), value, key);
  const review = { user, new_status, comment, created_at: now };
  const { shared, home } = takeApart('reviews', nextReview, review satisfies JsonObject);
  store.insertReview(session, nextReview, {
    shared: tx.sealer.sealPayload({ applicationId, sessionId, category: 'reviews', position: nextReview }, shared, key),
    home: home.length === 0 ? null : sealHome('reviews', home as unknown as JsonValue),
    activity: sealHome('review_activity', { ...activity }),
  });
  return review;
}
