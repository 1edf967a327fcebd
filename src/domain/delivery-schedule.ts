const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const JITTER = 0.2;

/**
 * Milliseconds to wait before attempts 2, 3, … of a webhook, each counted from the failure of the one before. The first
 * four attempts land at about 0 s, 5 s, 1 min and 5 min, which covers Didit's three; all twelve span about 76.6 h.
 */
export const DELIVERY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  55 * SECOND,
  4 * MINUTE,
  30 * MINUTE,
  1 * HOUR,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** Automatic attempts of one delivery, the first included. */
export const MAX_ATTEMPTS = 12;

/**
 * Milliseconds to wait before attempt `attempt` (1 to {@link MAX_ATTEMPTS}), spread by ±20 % so that receivers that fell
 * together don't rise together. Pure: in a workflow pass `Math.random()`, which Temporal makes deterministic there.
 * @param random from 0 to below 1
 * @throws {RangeError}
 */
export function delayBeforeAttempt(attempt: number, random: number): number {
  if (!(random >= 0 && random < 1)) throw new RangeError('random: must be from 0 to below 1, as from Math.random()');
  if (attempt === 1) return 0;
  const delay = DELIVERY_DELAYS_MS[attempt - 2];
  if (delay === undefined) {
    throw new RangeError(`attempt: must be a whole number from 1 to ${MAX_ATTEMPTS}; stop after the last`);
  }
  return Math.round(delay * (1 - JITTER + 2 * JITTER * random));
}
