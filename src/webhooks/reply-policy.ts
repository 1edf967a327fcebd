import type { PostFailureCode, PostOutcome } from './http-post.ts';

/** What to tell the destination's owner beside the reason. `slow_down` is for the sender: slow the whole destination. */
export type RetryHint = 'update_url' | 'check_configuration' | 'slow_down';

/** A stable code: `http_<status>`, `redirect`, `gone`, `blocked_address`, or why no reply came. */
export type ReplyReason =
  | `http_${number}`
  | 'redirect'
  | 'gone'
  | 'blocked_address'
  | 'receiver_disabled'
  | 'receiver_aborted'
  | Exclude<PostFailureCode, 'egress_blocked'>;

/**
 * What an outcome means for the delivery and its destination (webhooks.md A5).
 * - `delivered`: stop.
 * - `retry`: try again after `delayMs`, if attempts are left.
 * - `gone` (410): stop, disable the destination, tell its owner.
 * - `disable`: the receiver asked for it; `delivered` says what became of this delivery.
 * - `abort`: the receiver wants no more of this one delivery.
 * - `blocked`: our own policy: stop, mark the destination blocked, write to the security log.
 *
 * `slowDestinationMs` is for the whole destination: nothing is sent to it for that long.
 */
export type Verdict =
  | { verdict: 'delivered'; reason: ReplyReason }
  | { verdict: 'retry'; reason: ReplyReason; delayMs: number; hint?: RetryHint; slowDestinationMs?: number }
  | { verdict: 'gone'; reason: ReplyReason }
  | { verdict: 'disable'; reason: ReplyReason; delivered: boolean }
  | { verdict: 'abort'; reason: ReplyReason }
  | { verdict: 'blocked'; reason: ReplyReason };

const OVERLOAD_MIN_DELAY_MS = 60_000;
const RETRY_AFTER_MAX_MS = 24 * 3_600_000;
const SLOW_MAX_MS = 5 * 60_000;
const OVERLOAD = new Set([429, 502, 503, 504]);
const MISCONFIGURED = new Set([400, 401, 403, 404, 422]);

/**
 * Milliseconds that a `Retry-After` header asks for, counted from `nowMs` when it is a date (0 when past); null when it
 * is neither whole seconds nor an HTTP date.
 */
export function parseRetryAfter(header: string, nowMs: number): number | null {
  const text = header.trim();
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1_000;
  if (!/^[A-Za-z]{3,9}, .+ GMT$/.test(text)) return null;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function overloadDelay(retryAfter: string | null, scheduledDelayMs: number, nowMs: number): number {
  const asked = retryAfter === null ? null : parseRetryAfter(retryAfter, nowMs);
  const clamped = Math.min(asked ?? 0, 2 * scheduledDelayMs, RETRY_AFTER_MAX_MS);
  return Math.max(scheduledDelayMs, OVERLOAD_MIN_DELAY_MS, clamped);
}

/**
 * How long the receiver gets nothing at all, in milliseconds, when it asked for time: as long as it said, but one to five
 * minutes. A gateway's stray 502 asks for nothing: then the destination only gets one request at a time until a success.
 */
function restOf(status: number, retryAfter: string | null, nowMs: number): number | undefined {
  const asked = (retryAfter === null ? null : parseRetryAfter(retryAfter, nowMs)) ?? 0;
  if (asked === 0 && status !== 429) return undefined;
  return Math.min(Math.max(asked, OVERLOAD_MIN_DELAY_MS), SLOW_MAX_MS);
}

/**
 * Judges one attempt. Pure.
 * @param schedule.scheduledDelayMs the schedule's delay before the next attempt
 * @param schedule.nowMs the time of the reply, for a `Retry-After` that is a date
 */
export function judgeReply(outcome: PostOutcome, schedule: { scheduledDelayMs: number; nowMs: number }): Verdict {
  const { scheduledDelayMs, nowMs } = schedule;
  if (outcome.kind === 'failure') {
    return outcome.code === 'egress_blocked'
      ? { verdict: 'blocked', reason: 'blocked_address' }
      : { verdict: 'retry', reason: outcome.code, delayMs: scheduledDelayMs };
  }
  const { status } = outcome;
  const reason: ReplyReason = `http_${status}`;
  const delivered = status >= 200 && status < 300;
  const control = outcome.webhookDelivery?.trim().toLowerCase();

  if (status === 410) return { verdict: 'gone', reason: 'gone' };
  if (control === 'disable') return { verdict: 'disable', reason: 'receiver_disabled', delivered };
  if (delivered) return { verdict: 'delivered', reason };
  if (control === 'abort-message') return { verdict: 'abort', reason: 'receiver_aborted' };
  if (status >= 300 && status < 400) {
    return { verdict: 'retry', reason: 'redirect', delayMs: scheduledDelayMs, hint: 'update_url' };
  }
  if (OVERLOAD.has(status)) {
    const delayMs = overloadDelay(outcome.retryAfter, scheduledDelayMs, nowMs);
    const slowDestinationMs = restOf(status, outcome.retryAfter, nowMs);
    return {
      verdict: 'retry',
      reason,
      delayMs,
      hint: 'slow_down',
      ...(slowDestinationMs !== undefined && { slowDestinationMs }),
    };
  }
  if (MISCONFIGURED.has(status)) {
    return { verdict: 'retry', reason, delayMs: scheduledDelayMs, hint: 'check_configuration' };
  }
  return { verdict: 'retry', reason, delayMs: scheduledDelayMs };
}
