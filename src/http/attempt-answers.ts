import { setTimeout } from 'node:timers/promises';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { readMember, textOfMembers } from '../crypto/canonical-members.ts';
import { isJsonObject } from '../domain/json.ts';
import { putLinksInDecision } from '../domain/media-references.ts';
import type { AttemptDetail, AttemptRow } from '../postgres/delivery-log.ts';
import { contentOf, leaveOut } from '../webhooks/compose-attempt.ts';

/** Didit's limit for the synchronous resend. */
export const RESEND_WAIT_MS = 5_000;
const POLL_MS = 100;

/**
 * An attempt when it has ended, or as it stands after so long: only the senders dial out.
 *
 * @param look reads what came of it so far
 */
export async function whenEnded<Row extends AttemptRow>(
  queued: Row,
  waitMs: number,
  look: () => Promise<Partial<Row> | null | undefined>,
): Promise<Row> {
  const until = performance.now() + waitMs;
  let attempt = queued;
  while (attempt.status === 'pending' && performance.now() < until) {
    await setTimeout(POLL_MS);
    attempt = { ...attempt, ...(await look()) };
  }
  return attempt;
}

/** One attempt, as lists show it. */
export function attemptItem(row: AttemptRow) {
  return {
    uuid: row.attemptId,
    session_id: row.sessionId,
    request_url: row.requestUrl,
    response_status: row.responseStatus,
    response_time_ms: row.responseTimeMs,
    status: row.status,
    webhook_type: row.eventType,
    event_id: row.eventId,
    attempt: row.attempt,
    trigger: row.trigger,
    reason: row.reason,
    created_at: row.createdAt,
  };
}

/** One attempt with what was sent, and what came back. */
export function attemptDetail(row: AttemptDetail) {
  const { requestHeaders: headers } = row;
  return {
    ...attemptItem(row),
    hint: row.hint,
    response_body: row.responseBody,
    body_truncated: row.bodyTruncated,
    location_host: row.locationHost,
    request_header: headers === null ? null : JSON.stringify(headers),
    request_body:
      headers === null || row.payload === null
        ? null
        : bodySent({ ...row, payload: row.payload }, Number(headers['x-timestamp'])),
  };
}

/** The body as it went out at this time, without its share token and its links to files. */
function bodySent(row: AttemptDetail & { readonly payload: string }, timestamp: number): string {
  const content = contentOf({ ...row, createdAt: row.eventAt }, timestamp);
  leaveOut(content, row.leftOut);
  const decision = readMember(content, 'decision');
  if (isJsonObject(decision)) content.set('decision', canonicalJson(putLinksInDecision(decision, () => null)));
  if (row.carriesToken !== null) content.set('share_token', 'null');
  return textOfMembers(content);
}
