import type { JsonObject } from '../domain/json.ts';
import { nodesToResubmit, resubmitInfo, type OpenedCheck, type ResubmitNode } from '../domain/resubmission.ts';
import type { HandoffTransaction, SessionRow } from './ports.ts';

/**
 * What of a session is to be done again, and why: `resubmit_info` of its webhook. Null when every step passed.
 *
 * @param named the steps; undefined leaves it to what did not pass
 */
export async function resubmissionOf(
  tx: HandoffTransaction,
  { applicationId, sessionId }: SessionRow,
  named?: readonly ResubmitNode[],
): Promise<JsonObject | null> {
  const stored = await tx.sessions.readDecision(applicationId, sessionId);
  const checks = (stored?.checks ?? []).map(({ category, position, payload }): OpenedCheck => ({
    category,
    item: tx.sealer.openPayload({ applicationId, sessionId, category, position }, payload) as JsonObject,
  }));
  const nodes = named ?? nodesToResubmit(checks);
  return nodes.length === 0 ? null : resubmitInfo(nodes, checks);
}
