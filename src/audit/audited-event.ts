import { createHash } from 'node:crypto';
import { canonicalJson } from '../crypto/canonical-json.ts';

/** Every column of an event: all are sealed. Which SQL makes a column's text: `postgres/audit-rows.ts`. */
export const AUDITED_COLUMNS = [
  'event_id',
  'application_id',
  'type',
  'token_id',
  'session_id',
  'subject_id',
  'key_id',
  'sequence',
  'actor_kind',
  'actor_id',
  'request_id',
  'reason',
  'salt',
  'digest',
  'before_sha256',
  'after_sha256',
  'dedupe_key',
  'created_at',
] as const;

/**
 * One event, each column as text: UUIDs lower-case, bytes in hexadecimal, the sequence in decimal, `created_at` in
 * ISO 8601 UTC with microseconds; null where the row has none.
 */
export type AuditedEvent = Readonly<Record<(typeof AUDITED_COLUMNS)[number], string | null>>;

/**
 * sha256 over the canonical JSON of an event's columns. Those that are null are left out, so that a column that comes
 * later changes no hash of before it.
 */
export function rowHash(event: AuditedEvent): Buffer {
  const present = Object.fromEntries(
    AUDITED_COLUMNS.flatMap((column) => (event[column] === null ? [] : [[column, event[column]]])),
  );
  return createHash('sha256').update(canonicalJson(present)).digest();
}
