import type { Actor } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
import type { SessionStatus } from '../domain/session-status.ts';
import { dataUpdatedEvent, type DataTrigger } from './data-updated.ts';
import { decisionWithReferences, type DecisionStyle } from './decision.ts';
import type { HandoffTransaction, SessionRow, StoredDecision } from './ports.ts';
import { resubmissionOf } from './resubmission.ts';
import { statusUpdatedEvent } from './status-updated.ts';

/** Why a status is told. */
export interface StatusCause {
  /** Different for each change of one session: the same cause is told once. */
  readonly cause: string;
  /** For the audit trail: a code. */
  readonly reason: 'review' | 'simulated' | 'ingested';
  /** The status before, of a session that was there. */
  readonly before?: SessionStatus;
  /** Of a session that is `Resubmitted`. */
  readonly resubmitInfo?: JsonObject | null;
}

/** Tells the owner's destinations the status that a session has by now; resolves to the session as it was told. */
export async function announceStatus(
  tx: HandoffTransaction,
  session: SessionRow,
  { cause, reason, before, resubmitInfo }: StatusCause,
  actor: Actor,
  style: DecisionStyle,
): Promise<StoredDecision> {
  const [stored, businessId] = await Promise.all([
    tx.sessions.readDecision(session.applicationId, session.sessionId),
    tx.sessions.businessIdOf(session),
  ]);
  if (stored === null) throw new Error('a session that was written is there');
  const decision = decisionWithReferences(stored, tx.sealer, style);
  const about = { tokenId: null, cause, reason, before, businessId, ...(resubmitInfo && { resubmitInfo }) };
  tx.events.insert([statusUpdatedEvent(stored.session, decision, { ...about, style })], actor);
  return stored;
}

/** Why content is told, and for the audit trail what was changed of it. */
export interface DataCause {
  /** Different for each change of one session: the same cause is told once. */
  readonly cause: string;
  readonly trigger: DataTrigger;
  readonly before?: JsonObject;
  readonly after?: JsonObject;
}

/** Tells the owner's destinations that a session's content changed, while its status stayed. */
export async function announceData(
  tx: HandoffTransaction,
  { applicationId, sessionId }: Pick<SessionRow, 'applicationId' | 'sessionId'>,
  { cause, trigger, ...states }: DataCause,
  actor: Actor,
  style: DecisionStyle,
): Promise<void> {
  const stored = await tx.sessions.readDecision(applicationId, sessionId);
  if (stored === null) throw new Error('a session that was changed is there');
  const businessId = await tx.sessions.businessIdOf(stored.session);
  const decision = decisionWithReferences(stored, tx.sealer, style);
  const event = dataUpdatedEvent(stored.session, decision, { trigger, cause, businessId, style });
  tx.events.insert([{ ...event, ...states }], actor);
}

/** Tells how a simulation ended. @param before the status before, of a session that was there */
export async function announceSimulation(
  tx: HandoffTransaction,
  session: SessionRow,
  actor: Actor,
  style: DecisionStyle,
  before?: SessionStatus,
): Promise<StoredDecision> {
  const resubmitInfo = session.status === 'Resubmitted' ? await resubmissionOf(tx, session) : null;
  const why = { cause: 'simulated', reason: 'simulated', resubmitInfo } as const;
  return announceStatus(tx, session, before === undefined ? why : { ...why, before }, actor, style);
}
