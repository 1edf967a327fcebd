import { putTogether, type HomeValue } from '../domain/decision-parts.ts';
import type { JsonObject } from '../domain/json.ts';
import { reviewItem, type ReviewActivity, type ReviewItem } from '../domain/reviews.ts';
import { REVIEW_ACTIVITY, type ReviewRow } from '../postgres/session-reviews.ts';
import type { Review } from '../sharing/add-review.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { homeContext } from '../sharing/store-content.ts';

interface SessionKey {
  readonly applicationId: string;
  readonly sessionId: string;
}

/** A review that was made here, as its maker is answered. */
export function reviewOf(row: ReviewRow, key: SessionKey, sealer: PayloadSealer): Review {
  return openReview(row, key, sealer) as unknown as Review;
}

/** A review as it stands in its session's list. @param sessionCreatedAt stands in for a time that nobody told */
export function itemOf(row: ReviewRow, key: SessionKey, sessionCreatedAt: string, sealer: PayloadSealer): ReviewItem {
  const { position, activity } = row;
  const opened = activity === null ? null : sealer.openPayload(homeContext(key, REVIEW_ACTIVITY, position), activity);
  return reviewItem(
    { sessionId: key.sessionId, position, sessionCreatedAt },
    openReview(row, key, sealer),
    opened as unknown as ReviewActivity | null,
  );
}

/** A review as its session's owner reads it. */
function openReview({ position, shared, home }: ReviewRow, key: SessionKey, sealer: PayloadSealer): JsonObject {
  return putTogether({
    shared: sealer.openPayload({ ...key, category: 'reviews', position }, shared) as JsonObject,
    home:
      home === null ? [] : (sealer.openPayload(homeContext(key, 'reviews', position), home) as unknown as HomeValue[]),
  });
}
