import type { Actor } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
import { dataUpdatedEvent, type DataTrigger } from './data-updated.ts';
import { decisionWithReferences, type DecisionStyle } from './decision.ts';
import type { HandoffTransaction, SessionRow, StoredDecision } from './ports.ts';
import { resubmissionOf } from './resubmission.ts';
import { statusUpdatedEvent } from './status-updated.ts';

/** Why a status is told. */
export interface StatusCause {
  /** Different for each change of one session: the same cause is told once. */
  readonly cause: string;
  /** Of a session that is `Resubmitted`. */
  readonly resubmitInfo?: JsonObject | null;
}

/** Tells the owner's destinations the status that a session has by now; resolves to the session as it was told. */
export async function announceStatus(
  tx: HandoffTransaction,
  session: SessionRow,
  { cause, resubmitInfo }: StatusCause,
  actor: Actor,
  style: DecisionStyle,
): Promise<StoredDecision> {
  const [stored, businessId] = await Promise.all([
    tx.sessions.readDecision(session.applicationId, session.sessionId),
    tx.sessions.businessIdOf(session),
  ]);
  if (stored === null) throw new Error('a session that was written is there');
  const decision = decisionWithReferences(stored, tx.sealer, style);
  const about = { tokenId: null, cause, businessId, ...(resubmitInfo && { resubmitInfo }) };
  tx.events.insert([statusUpdatedEvent(stored.session, decision, { ...about, style })], actor);
  return stored;
}

/** Tells the owner's destinations that a session's content changed, while its status stayed. */
export async function announceData(
  tx: HandoffTransaction,
  { applicationId, sessionId }: Pick<SessionRow, 'applicationId' | 'sessionId'>,
  { cause, trigger }: { readonly cause: string; readonly trigger: DataTrigger },
  actor: Actor,
  style: DecisionStyle,
): Promise<void> {
  const stored = await tx.sessions.readDecision(applicationId, sessionId);
  if (stored === null) throw new Error('a session that was changed is there');
  const businessId = await tx.sessions.businessIdOf(stored.session);
  const decision = decisionWithReferences(stored, tx.sealer, style);
  tx.events.insert([dataUpdatedEvent(stored.session, decision, { trigger, cause, businessId, style })], actor);
}

/** Tells how a simulation ended. */
export async function announceSimulation(
  tx: HandoffTransaction,
  session: SessionRow,
  actor: Actor,
  style: DecisionStyle,
): Promise<StoredDecision> {
  const resubmitInfo = session.status === 'Resubmitted' ? await resubmissionOf(tx, session) : null;
  return announceStatus(tx, session, { cause: 'simulated', resubmitInfo }, actor, style);
}
