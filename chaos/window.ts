import { same, type Row } from '../torture/part.ts';
import { isSuccess } from './caller.ts';
import type { Call } from './ledger.ts';
import type { Rig } from './rig.ts';

/** What clients were told between two moments. */
export interface Told {
  readonly calls: number;
  /** Answered with 2xx. */
  readonly yes: number;
  /** Answered with 503. */
  readonly unavailable: number;
  /** Given up by the client, refused or reset. */
  readonly unanswered: number;
  /** 500 and whatever else is no 503 above it. */
  readonly faults: readonly Call[];
}

/** What came of the calls that began between two moments. @param from milliseconds since 1970, as `until` is */
export function toldBetween({ ledger }: Pick<Rig, 'ledger'>, from: number, until = Date.now()): Told {
  const calls = ledger.calls.filter(({ at }) => at >= from && at < until);
  return {
    calls: calls.length,
    yes: calls.filter(isSuccess).length,
    unavailable: calls.filter(({ status }) => status === 503).length,
    unanswered: calls.filter(({ status }) => status === null).length,
    faults: calls.filter(({ status }) => status !== null && status >= 500 && status !== 503),
  };
}

/** The same in a few words. */
export function inWords({ calls, yes, unavailable, unanswered }: Told): string {
  return `${calls} calls: ${yes} yes, ${unavailable} × 503, ${unanswered} unanswered`;
}

/** A row that fails when a caller was told of a fault of ours in the place of "not now". */
export function noFaults(what: string, told: Told): Row {
  const row = same(`${what}: answers of 5xx but 503`, told.faults.length, 0);
  const [first] = told.faults;
  const example = first === undefined ? inWords(told) : `${first.method} ${first.path} ${first.status}`;
  return { ...row, seen: `${row.seen} (${example})` };
}

/**
 * The longest time around a moment in which no write succeeded, in milliseconds: from the last success that ended before
 * it to the first one that began after.
 */
export function writeGap({ ledger }: Pick<Rig, 'ledger'>, moment: number): number {
  let [before, after] = [-Infinity, Infinity];
  for (const call of ledger.calls) {
    if (call.method === 'GET' || !isSuccess(call)) continue;
    const end = call.at + call.ms;
    if (end <= moment) before = Math.max(before, end);
    if (call.at > moment) after = Math.min(after, end);
  }
  return after - before;
}

/** The middle value; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
