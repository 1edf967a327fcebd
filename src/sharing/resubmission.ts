import { invalidFields } from '../domain/failures.ts';
import type { JsonObject } from '../domain/json.ts';
import {
  nodesToResubmit,
  resubmitInfo,
  unknownNodes,
  type OpenedCheck,
  type ResubmitNode,
} from '../domain/resubmission.ts';
import type { HandoffTransaction, SessionRow } from './ports.ts';

const MAX_NAMED = 5;

/**
 * What of a session is to be done again, and why: `resubmit_info` of its webhook. Null when every step passed.
 *
 * @param named the steps; undefined leaves it to what did not pass
 * @throws {Refusal} `invalid_request` on `nodes_to_resubmit` when the session does not have a step that is named
 */
export async function resubmissionOf(
  tx: HandoffTransaction,
  { applicationId, sessionId, features }: SessionRow,
  named?: readonly ResubmitNode[],
): Promise<JsonObject | null> {
  const stored = await tx.sessions.readDecision(applicationId, sessionId);
  const checks = (stored?.checks ?? []).map(({ category, position, payload }): OpenedCheck => ({
    category,
    item: tx.sealer.openPayload({ applicationId, sessionId, category, position }, payload) as JsonObject,
  }));
  const unknown = unknownNodes(named ?? [], checks, features);
  if (unknown.length > 0) {
    const steps = unknown.slice(0, MAX_NAMED).map(({ node_id, feature }) => `${node_id} (${feature})`);
    throw invalidFields({ nodes_to_resubmit: [`The session does not have these steps: ${steps.join(', ')}.`] });
  }
  const nodes = named ?? nodesToResubmit(checks);
  return nodes.length === 0 ? null : resubmitInfo(nodes, checks);
}
