import { WebhookVerificationError } from './verification-error.ts';

/** Whole numbers beyond are written with hundreds of digits by some and with an exponent by others. */
const TOO_LARGE = 1e22;

/**
 * The text that `X-Signature-V2` is over: keys sorted at every level, compact, literal UTF-8, and every number as Didit's
 * sender (Python) writes it, so that the text stands for exactly the value that was parsed.
 *
 * @param value parsed JSON, not nested without end
 * @throws {WebhookVerificationError} `malformed_body` when a number is too large to be written in one way
 */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).toSorted(([a], [b]) => byCodePoints(a, b));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalText(member)}`).join(',')}}`;
  }
  return typeof value === 'number' ? numberText(value) : JSON.stringify(value);
}

/** JavaScript sorts by UTF-16 units, which puts characters beyond the basic plane before some of it. */
function byCodePoints(left: string, right: string): number {
  let at = 0;
  while (at < left.length && left.charCodeAt(at) === right.charCodeAt(at)) at += 1;
  return (left.codePointAt(at) ?? -1) - (right.codePointAt(at) ?? -1);
}

function numberText(value: number): string {
  if (Math.abs(value) >= TOO_LARGE) {
    throw new WebhookVerificationError('malformed_body', 'The body has a number that X-Signature-V2 cannot cover.');
  }
  // All digits of whole numbers, where JavaScript has an exponent from 1e21 on.
  if (Number.isInteger(value)) return BigInt(value).toString();
  if (Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, 'e-0$1');
}
