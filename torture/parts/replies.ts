import { cutBody, drippingBody, sayAndReset, silence, startHostileReceiver } from '../hostile-receiver.ts';
import { openField } from '../field.ts';
import { firstAttempts, type Outcome } from '../outcomes.ts';
import type { Part, Row } from '../part.ts';
import { startSomeSender } from '../senders.ts';
import { testTlsPair } from '../../test/support/tls-pair.ts';

/** Seconds, least and most. */
type Span = readonly [number, number];

/** What one row of the table of replies asks for. */
interface Expected {
  readonly state: string;
  readonly reason: string;
  /** Until the next attempt; absent when there is none. */
  readonly next?: Span;
  /** For which the whole destination gets nothing. */
  readonly slow?: Span;
  readonly hint?: string;
  readonly disabled?: string;
  readonly cut?: boolean;
  readonly to?: string;
}

const DELIVERED = (status: number): Expected => ({ state: 'delivered', reason: `http_${status}` });
/** 5 s ± 20 %. */
const RETRY: Span = [4, 6];
const MINUTE: Span = [60, 60];
/** Writing the outcome down takes a moment too. */
const SLACK_SECONDS = 3;

/** Every row of the table of replies (webhooks.md A5), through the real sender: delivery, attempt, destination, delay. */
export const replies: Part = {
  name: 'replies',
  shows: 'what every answer of a receiver, and every sort of none, does to a delivery and its destination',
  run: async (lab) => {
    const field = await openField(lab);
    const receiver = await startHostileReceiver();
    lab.onEnd(() => receiver.close());
    await startSomeSender(lab, field);
    const answer = (status: number, headers?: Record<string, string>) => receiver.answer(status, headers);
    const overloaded = (status: number): Expected => ({
      state: 'retrying',
      reason: `http_${status}`,
      next: MINUTE,
      // The others may be a gateway's own: they ask for nothing.
      ...(status === 429 && { slow: MINUTE }),
      hint: 'slow_down',
    });
    const inTwoMinutes = () => new Date(Date.now() + 120_000).toUTCString();
    const away = 'http://elsewhere.test:81/secret?token=secret';
    const retry = (reason: string): Expected => ({ state: 'retrying', reason, next: RETRY });

    const cases: [what: string, url: string, expected: Expected][] = [
      ...[200, 201, 202, 204, 299].map((status): [string, string, Expected] => [
        String(status),
        answer(status),
        DELIVERED(status),
      ]),
      ['200, its body cut off', await receiver.raw(cutBody), { ...DELIVERED(200), cut: true }],
      ['200, its body dripping for ever', await receiver.raw(drippingBody(200)), { ...DELIVERED(200), cut: true }],
      [
        '200, then a reset',
        await receiver.raw(sayAndReset('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n')),
        { ...DELIVERED(200), cut: true },
      ],
      [
        '200 + webhook-delivery: disable',
        answer(200, { 'webhook-delivery': 'disable' }),
        { state: 'delivered', reason: 'receiver_disabled', disabled: 'receiver' },
      ],
      [
        '500 + webhook-delivery: disable',
        answer(500, { 'webhook-delivery': 'disable' }),
        { state: 'gone', reason: 'receiver_disabled', disabled: 'receiver' },
      ],
      [
        '422 + webhook-delivery: abort-message',
        answer(422, { 'webhook-delivery': 'abort-message' }),
        { state: 'aborted', reason: 'receiver_aborted' },
      ],
      ['200 + webhook-delivery: abort-message', answer(200, { 'webhook-delivery': 'abort-message' }), DELIVERED(200)],
      ...[300, 301, 302, 303, 307, 308].map((status): [string, string, Expected] => [
        `${status} + location`,
        answer(status, { location: away }),
        { ...retry('redirect'), hint: 'update_url', to: 'elsewhere.test:81' },
      ]),
      ['410', answer(410), { state: 'gone', reason: 'gone', disabled: 'gone' }],
      ...[429, 502, 503, 504].map((status): [string, string, Expected] => [
        String(status),
        answer(status),
        overloaded(status),
      ]),
      ['503 + Retry-After: 120', answer(503, { 'retry-after': '120' }), { ...overloaded(503), slow: [120, 120] }],
      [
        '429 + Retry-After: a date',
        answer(429, { 'retry-after': inTwoMinutes() }),
        { ...overloaded(429), slow: [110, 120] },
      ],
      [
        '429 + Retry-After: 999999999',
        answer(429, { 'retry-after': '999999999' }),
        { ...overloaded(429), slow: [300, 300] },
      ],
      ['503 + Retry-After: soon', answer(503, { 'retry-after': 'soon' }), overloaded(503)],
      ['503 + Retry-After: -5', answer(503, { 'retry-after': '-5' }), overloaded(503)],
      ...[400, 401, 403, 404, 422].map((status): [string, string, Expected] => [
        String(status),
        answer(status),
        { ...retry(`http_${status}`), hint: 'check_configuration' },
      ]),
      ...[405, 418, 500, 501, 599].map((status): [string, string, Expected] => [
        String(status),
        answer(status),
        retry(`http_${status}`),
      ]),
      ['no reply', await receiver.raw(silence), retry('timeout')],
      ['a reset', await receiver.raw(sayAndReset('')), retry('reset')],
      ['nobody listens', await receiver.nobody(), retry('connect')],
      // No resolver takes a label of 64 characters, so none is asked.
      ['an unknown name', `http://${'n'.repeat(64)}.test/`, retry('dns')],
      ['a self-signed certificate', await receiver.tls(testTlsPair), retry('tls')],
      ['a private address', 'http://10.1.2.3/', { state: 'blocked', reason: 'blocked_address', disabled: 'blocked' }],
    ];

    lab.say(`${cases.length} replies`);
    const targets = await Promise.all(cases.map(([, url]) => field.target(url)));
    await Promise.all(targets.map(({ applicationId }) => field.tell(applicationId)));
    const ids = targets.map(({ destinationId }) => destinationId);
    const outcomes = await firstAttempts(field.pool, ids, 60_000);
    return cases.map(([what, , expected], index): Row => {
      const outcome = outcomes.get(ids[index] ?? '')?.[0];
      if (outcome === undefined) throw new Error('every destination has its outcome');
      return {
        what,
        expected: told(expected),
        seen: seen(outcome),
        ok: matches(outcome, expected, lab.measured ? SLACK_SECONDS : Infinity),
      };
    });
  },
};

/** @param slack seconds that a time may be longer than expected */
function matches(
  outcome: Outcome,
  { state, reason, next, slow, hint, disabled, cut, to }: Expected,
  slack: number,
): boolean {
  const inside = (value: number | null, span: Span) =>
    value !== null && value >= span[0] - 0.01 && value <= span[1] + slack;
  return (
    outcome.state === state &&
    outcome.reason === reason &&
    (next === undefined ? state !== 'retrying' : inside(outcome.delaySeconds, next)) &&
    (slow === undefined ? (outcome.slowSeconds ?? 0) <= 0 : inside(outcome.slowSeconds, slow)) &&
    outcome.hint === (hint ?? null) &&
    outcome.enabled === (disabled === undefined) &&
    outcome.disabledReason === (disabled ?? null) &&
    (outcome.truncated ?? false) === (cut ?? false) &&
    outcome.locationHost === (to ?? null)
  );
}

function told({ state, reason, next, slow, hint, disabled, cut, to }: Expected): string {
  const span = ([least, most]: Span) => (least === most ? `${least} s` : `${least} to ${most} s`);
  return [
    state,
    reason,
    cut === true && 'body cut',
    next !== undefined && `next in ${span(next)}`,
    slow !== undefined && `slow for ${span(slow)}`,
    hint,
    to !== undefined && `to ${to}`,
    disabled !== undefined && `destination off: ${disabled}`,
  ]
    .filter(Boolean)
    .join(' · ');
}

function seen(outcome: Outcome): string {
  const { state, delaySeconds, slowSeconds } = outcome;
  return [
    state,
    outcome.reason,
    outcome.truncated === true && 'body cut',
    state === 'retrying' && `next in ${delaySeconds.toFixed(1)} s`,
    slowSeconds !== null && slowSeconds > 0 && `slow for ${slowSeconds.toFixed(1)} s`,
    outcome.hint,
    outcome.locationHost !== null && `to ${outcome.locationHost}`,
    !outcome.enabled && `destination off: ${outcome.disabledReason}`,
  ]
    .filter(Boolean)
    .join(' · ');
}
