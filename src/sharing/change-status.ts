import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import type { ResubmitNode } from '../domain/resubmission.ts';
import { reviewActivity } from '../domain/reviews.ts';
import { renderStatus, type SessionStatus } from '../domain/session-status.ts';
import { appendReview } from './add-review.ts';
import { announceStatus } from './announce.ts';
import type { DecisionStyle } from './decision.ts';
import type { HandoffTransaction, SessionLifeStore } from './ports.ts';
import { resubmissionOf } from './resubmission.ts';

/** The statuses that a reviewer can give. */
export const GIVEN_STATUSES = ['Approved', 'Declined', 'Resubmitted'] as const satisfies readonly SessionStatus[];

/** A reviewer's verdict on a session. */
export interface StatusChange {
  readonly newStatus: (typeof GIVEN_STATUSES)[number];
  readonly comment: string | null;
  /** Steps to be done again; undefined leaves it to what did not pass. */
  readonly nodes: readonly ResubmitNode[] | undefined;
}

/** Statuses in which a session takes a verdict. */
const ELIGIBLE: ReadonlySet<SessionStatus> = new Set([
  'Approved',
  'Declined',
  'In Review',
  'Kyc Expired',
  'Abandoned',
  'Resubmitted',
]);

/**
 * Gives a session another status by hand, with a review of it: `PATCH /v3/session/{id}/update-status/`. An import that is
 * under way sees the status before or after.
 *
 * @param readChange gives the verdict, or throws what is wrong with it: only when the session can take one
 * @throws {Refusal} `session_not_found`, `session_not_updatable`, `invalid_request`
 */
export async function changeStatus(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  call: { readonly applicationId: string; readonly sessionId: string; readonly readChange: () => StatusChange },
  actor: Actor,
  style: DecisionStyle,
): Promise<void> {
  const locked = await store.lock(call.applicationId, call.sessionId);
  if (locked === null) throw new Refusal('session_not_found');
  const before = locked.session;
  const written = (status: SessionStatus) => renderStatus(before.kind, status, style.businessStatusCase);
  if (!ELIGIBLE.has(before.status)) {
    throw new Refusal('session_not_updatable', { extra: { status: written(before.status) } });
  }
  const { newStatus, comment, nodes } = call.readChange();
  if (newStatus === before.status) {
    throw invalidFields({ new_status: ['The new status is the same as the current status.'] });
  }
  const resubmission = newStatus === 'Resubmitted' ? await resubmissionOf(tx, before, nodes) : null;
  if (newStatus === 'Resubmitted' && resubmission === null) throw invalidFields({ nodes_to_resubmit: [NOTHING_TO_DO] });

  store.setStatus({ ...before, status: newStatus });
  appendReview(
    tx,
    store,
    locked,
    { user: 'API Client', new_status: written(newStatus), comment },
    reviewActivity({
      activity_type: 'STATUS_UPDATED',
      previous_status: written(before.status),
      metadata: resubmission,
    }),
  );
  const cause = `review:${locked.nextReview}:${locked.now}`;
  const why = { cause, reason: 'review', before: before.status, resubmitInfo: resubmission } as const;
  await announceStatus(tx, before, why, actor, style);
}

const NOTHING_TO_DO = 'No features found that need resubmission. All features are already approved: name the steps.';
