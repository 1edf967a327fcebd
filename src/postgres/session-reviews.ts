import type { SessionRow } from '../sharing/ports.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Category in `session_home` of what a review's list tells beyond the review; its position is the review's. */
export const REVIEW_ACTIVITY = 'review_activity';

/** One stored review, sealed: what may travel, what stays home of it, and what only its list tells. */
export interface ReviewRow {
  readonly position: number;
  readonly shared: Buffer;
  readonly home: Buffer | null;
  readonly activity: Buffer | null;
}

/** A part of a session's reviews with their number; null when the application has no such session. */
export async function readReviews(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
  page: { readonly limit: number; readonly offset: number; readonly newestFirst: boolean },
): Promise<{ count: number; session: Pick<SessionRow, 'createdAt'>; rows: ReviewRow[] } | null> {
  const direction = page.newestFirst ? 'desc' : 'asc';
  const [[session], rows] = await Promise.all([
    tx.query<{ createdAt: string; count: number }>(
      `select ${isoColumn('created_at')} as "createdAt",
         (select count(*)::int from session_check
          where session_id = $1 and application_id = $2 and category = 'reviews') as count
       from session where session_id = $1 and application_id = $2`,
      [sessionId, applicationId],
    ),
    tx.query<ReviewRow & Record<string, unknown>>(
      `select c.position, with_key(c.session_id, c.payload) as shared, with_key(c.session_id, h.payload) as home,
         with_key(c.session_id, a.payload) as activity
       from session_check c
       left join session_home h on h.session_id = c.session_id and h.application_id = c.application_id
         and h.category = c.category and h.position = c.position
       left join session_home a on a.session_id = c.session_id and a.application_id = c.application_id
         and a.category = '${REVIEW_ACTIVITY}' and a.position = c.position
       where c.session_id = $1 and c.application_id = $2 and c.category = 'reviews'
       order by c.position ${direction} limit $3 offset $4`,
      [sessionId, applicationId, page.limit, page.offset],
    ),
  ]);
  if (session === undefined) return null;
  return { count: session.count, session: { createdAt: session.createdAt }, rows };
}
