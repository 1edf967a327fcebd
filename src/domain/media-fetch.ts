/** Why a file could not be fetched. Holds nothing of its link. */
export type FetchFailure =
  // The source's answer: no (4xx), later (408, 425, 429, 5xx), elsewhere (3xx).
  | 'link_refused'
  | 'source_unavailable'
  | 'redirected'
  // What came is nothing that we store.
  | 'too_large'
  | 'encoded'
  | 'unknown_type'
  // No answer.
  | 'egress_blocked'
  | 'timeout'
  | 'dns'
  | 'connect'
  | 'tls'
  | 'reset'
  | 'failed';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits after the first attempt, the second …: ten attempts in about a day. In milliseconds. */
const WAITS: readonly number[] = [
  10 * SECOND,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  8 * HOUR,
];

/** Another attempt would get the same. */
const FINAL: ReadonlySet<FetchFailure> = new Set(['too_large', 'encoded', 'unknown_type', 'egress_blocked']);

/** A link that expired stays refused; one of a store that lags behind its news does not. */
const SOON_GIVEN_UP: ReadonlySet<FetchFailure> = new Set(['link_refused', 'redirected']);
const SOON_ATTEMPTS = 3;

/**
 * Milliseconds until a file is tried again after its nth attempt failed; null when it is given up.
 *
 * @param attempt from 1
 */
export function waitBeforeNextFetch(reason: FetchFailure, attempt: number): number | null {
  if (FINAL.has(reason) || (SOON_GIVEN_UP.has(reason) && attempt >= SOON_ATTEMPTS)) return null;
  return WAITS[attempt - 1] ?? null;
}
