import { describe, expect, test } from 'vitest';

import type { PostFailureCode, PostOutcome, PostReply } from '../../src/webhooks/http-post.ts';
import { judgeReply, parseRetryAfter } from '../../src/webhooks/reply-policy.ts';

const nowMs = Date.UTC(2026, 10, 23, 12, 0, 0);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function reply(status: number, parts: Partial<PostReply> = {}): PostOutcome {
  return {
    kind: 'reply',
    status,
    retryAfter: null,
    webhookDelivery: null,
    locationHost: null,
    bodyHead: '',
    bodyTruncated: false,
    connectedIp: '127.0.0.1',
    durationMs: 1,
    ...parts,
  };
}

const failure = (code: PostFailureCode): PostOutcome => ({
  kind: 'failure',
  code,
  message: '',
  connectedIp: null,
  durationMs: 1,
});

const judge = (outcome: PostOutcome, scheduledDelayMs = 5_000) => judgeReply(outcome, { scheduledDelayMs, nowMs });

describe('judgeReply', () => {
  test.each([200, 201, 202, 204, 299])('%s is delivered', (status) => {
    expect(judge(reply(status))).toEqual({ verdict: 'delivered', reason: `http_${status}` });
  });

  test('a cut body after 2xx is delivered all the same', () => {
    expect(judge(reply(200, { bodyTruncated: true }))).toEqual({ verdict: 'delivered', reason: 'http_200' });
  });

  test.each([300, 301, 302, 307, 308, 399])('%s is retried with a hint to update the URL', (status) => {
    const verdict = { verdict: 'retry', reason: 'redirect', delayMs: 5_000, hint: 'update_url' };
    expect(judge(reply(status, { locationHost: 'elsewhere.example' }))).toEqual(verdict);
  });

  test('410 ends it, whatever else the reply says', () => {
    expect(judge(reply(410, { webhookDelivery: 'disable' }))).toEqual({ verdict: 'gone', reason: 'gone' });
  });

  test('the receiver may disable itself with any reply', () => {
    const disabled = { verdict: 'disable', reason: 'receiver_disabled' };
    expect(judge(reply(200, { webhookDelivery: ' Disable ' }))).toEqual({ ...disabled, delivered: true });
    expect(judge(reply(500, { webhookDelivery: 'disable' }))).toEqual({ ...disabled, delivered: false });
  });

  test('the receiver may abort a message that failed; on success that changes nothing', () => {
    expect(judge(reply(422, { webhookDelivery: 'abort-message' }))).toEqual({
      verdict: 'abort',
      reason: 'receiver_aborted',
    });
    expect(judge(reply(200, { webhookDelivery: 'abort-message' }))).toMatchObject({ verdict: 'delivered' });
    expect(judge(reply(500, { webhookDelivery: 'something' }))).toMatchObject({ verdict: 'retry' });
  });

  test.each([400, 401, 403, 404, 422])('%s is retried with a hint to check the configuration', (status) => {
    const verdict = { verdict: 'retry', reason: `http_${status}`, delayMs: 5_000, hint: 'check_configuration' };
    expect(judge(reply(status, { retryAfter: '900' }))).toEqual(verdict);
  });

  test.each([405, 409, 418, 500, 501, 505, 599])('%s is retried on schedule', (status) => {
    expect(judge(reply(status))).toEqual({ verdict: 'retry', reason: `http_${status}`, delayMs: 5_000 });
  });

  test.each([429, 502, 503, 504])('%s waits at least a minute and slows the destination', (status) => {
    // 429 asks for time by itself; the others may be a gateway's own.
    const slow = { hint: 'slow_down', ...(status === 429 && { slowDestinationMs: MINUTE }) };
    const verdict = { verdict: 'retry', reason: `http_${status}`, delayMs: MINUTE, ...slow };
    expect(judge(reply(status))).toEqual(verdict);
    expect(judge(reply(status), HOUR)).toEqual({ ...verdict, delayMs: HOUR });
  });

  test.each([
    ['that is short', '5', MINUTE],
    ['of two minutes', '120', 2 * MINUTE],
    ['that is long', '86400', 5 * MINUTE],
    ['that is a date', 'Mon, 23 Nov 2026 12:03:00 GMT', 3 * MINUTE],
    ['that is nonsense', 'soon', undefined],
    ['that is over', '0', undefined],
  ])('Retry-After %s slows the whole destination, for five minutes at most', (_name, retryAfter, slowDestinationMs) => {
    expect(judge(reply(503, { retryAfter }), HOUR)).toHaveProperty('hint', 'slow_down');
    expect((judge(reply(503, { retryAfter }), HOUR) as { slowDestinationMs?: number }).slowDestinationMs).toBe(
      slowDestinationMs,
    );
  });

  test.each([
    ['shorter than the schedule', '60', HOUR, HOUR],
    ['longer than the schedule', '5400', HOUR, 1.5 * HOUR],
    ['longer than twice the schedule', '999999', HOUR, 2 * HOUR],
    ['longer than twice a short schedule', '3600', 5_000, MINUTE],
    ['longer than a day', '999999', 20 * HOUR, 24 * HOUR],
    ['a date', 'Mon, 23 Nov 2026 13:30:00 GMT', HOUR, 1.5 * HOUR],
    ['a date in the past', 'Mon, 23 Nov 2026 11:00:00 GMT', HOUR, HOUR],
    ['nonsense', 'soon', HOUR, HOUR],
    ['negative', '-5', HOUR, HOUR],
  ])('Retry-After %s', (_name, retryAfter, scheduled, delayMs) => {
    expect(judge(reply(429, { retryAfter }), scheduled)).toMatchObject({ delayMs });
  });

  test.each(['timeout', 'dns', 'connect', 'tls', 'reset', 'response_too_large', 'failed'] as const)(
    'no reply by %s is retried on schedule',
    (code) => {
      expect(judge(failure(code))).toEqual({ verdict: 'retry', reason: code, delayMs: 5_000 });
    },
  );

  test('an address that our policy forbids is not tried again', () => {
    expect(judge(failure('egress_blocked'))).toEqual({ verdict: 'blocked', reason: 'blocked_address' });
  });
});

describe('parseRetryAfter', () => {
  test.each([
    ['0', 0],
    [' 120 ', 120_000],
    ['Monday, 23-Nov-26 12:00:10 GMT', 10_000],
    ['1.5', null],
    ['', null],
    ['Mon, 99 Nov 2026 12:00:00 GMT', null],
    ['2026-11-23T12:00:10Z', null],
  ])('reads %j', (header, milliseconds) => {
    expect(parseRetryAfter(header, nowMs)).toBe(milliseconds);
  });
});
