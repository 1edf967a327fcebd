import { canonicalJson, canonicalProblem } from '../crypto/canonical-json.ts';
import { memberLines } from '../crypto/canonical-members.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';

/** A signed body holds at most 64 KiB (contract row 30); the sender adds a token and times to the stored part. */
export const MAX_PAYLOAD_BYTES = 62 * 1024;

/** A webhook's body that can be signed. */
export interface SignablePayload {
  readonly body: JsonObject;
  /** Its canonical text. */
  readonly text: string;
  /** What is kept of it: see `memberLines`. */
  readonly lines: string;
}

/**
 * A webhook's body as it can be signed. A member that steps outside the safe profile is left
 * out, and while the rest is too large, its largest member: `<member>_omitted: true` stands in its place. Total: whatever
 * customers put into their own text, no change fails for the event that tells of it.
 */
export function signablePayload(body: JsonObject): SignablePayload {
  if (canonicalProblem(body) === null) {
    const whole = written(body);
    if (Buffer.byteLength(whole.text) <= MAX_PAYLOAD_BYTES) return whole;
  }
  const payload = { ...body };
  const largestFirst = Object.entries(body)
    .map(([name, value]) => ({ name, bytes: bytesOf(name, value) }))
    .sort((a, b) => b.bytes - a.bytes);
  for (const { name, bytes } of largestFirst) {
    if (bytes < Infinity && Buffer.byteLength(canonicalJson(payload)) <= MAX_PAYLOAD_BYTES) break;
    delete payload[name];
    payload[`${name}_omitted`] = true;
  }
  return written(payload);
}

function written(body: JsonObject): SignablePayload {
  const lines = memberLines(body);
  // Canonical text holds no line break of its own.
  return { body, text: lines.replaceAll('\n', ''), lines };
}

/** Size of a member; infinite when no body can carry it. */
function bytesOf(name: string, value: JsonValue): number {
  return canonicalProblem({ [name]: value }) === null ? Buffer.byteLength(canonicalJson(value)) : Infinity;
}
