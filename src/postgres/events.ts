import { createHash, randomBytes } from 'node:crypto';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { isDispatched, type Actor } from '../domain/events.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Change, EventStore, NewEvent, PayloadSealer, SealContext } from '../sharing/ports.ts';
import { newId } from './new-id.ts';
import { signablePayload } from './signable-payload.ts';
import type { Transaction } from './tenants.ts';

/** SQL of events. The payload is held to the signing profile here, so that no state change fails for it. */
export function eventStore(tx: Transaction, sealer: PayloadSealer): EventStore {
  return {
    insert: (events, actor) => {
      const wishes = events.flatMap((event) => {
        const eventId = newId();
        insertEvent(tx, sealer, eventId, event, actor);
        if (event.byRun === true || !isDispatched(event.type)) return [];
        return [{ wish: 'dispatch' as const, tokenId: event.tokenId, subjectId: eventId, signal: null }];
      });
      if (wishes.length > 0) tx.wish(...wishes);
    },
    record: (changes, actor) => {
      if (changes.length > 0) insertChanges(tx, changes, actor);
    },
  };
}

/** What an event's payload is bound to. */
export function sealContextOfEvent(event: {
  readonly applicationId: string;
  readonly sessionId: string | null;
  readonly eventId: string;
}): SealContext {
  const { applicationId, sessionId, eventId } = event;
  return { applicationId, sessionId: sessionId ?? eventId, category: 'event', position: 0 };
}

/**
 * Writes one event and its payload, at the end of its subject's line. A fact that was told already changes nothing and
 * takes no number, also when it was told while this waited for its turn in the line.
 */
export function insertEvent(
  tx: Transaction,
  sealer: PayloadSealer,
  eventId: string,
  event: NewEvent,
  actor: Actor,
): void {
  const { text, lines } = signablePayload(event.body);
  const salt = randomBytes(16);
  tx.send(
    `with numbered as (
       insert into event_sequence as s (application_id, subject_id, last)
       select $2, $13, 1 where not exists (select 1 from event where dedupe_key = $10)
       on conflict (application_id, subject_id) do update set last = s.last + 1 where not event_is_told($10)
       returning last
     ), written as (
       insert into event
         (event_id, application_id, type, token_id, session_id, subject_id, sequence, actor_kind, actor_id, request_id,
          salt, digest, dedupe_key, reason, before_sha256, after_sha256)
       select $1::uuid, $2, $3, $4, $5, $13, last, $6, $7, $12, $8, $9, $10, $14, $15, $16 from numbered
       on conflict (dedupe_key) do nothing returning event_id
     )
     insert into event_payload (event_id, application_id, payload) select event_id, $2, $11 from written`,
    [
      eventId,
      event.applicationId,
      event.type,
      event.tokenId,
      event.sessionId,
      actor.kind,
      namedIn(event.applicationId, actor),
      salt,
      saltedHash(salt, text),
      event.dedupeKey,
      sealer.sealBytes(sealContextOfEvent({ ...event, eventId }), Buffer.from(lines)),
      requestNamedIn(event.applicationId, actor),
      event.sessionId ?? event.tokenId ?? event.subjectId ?? eventId,
      event.reason ?? null,
      hashOfState(salt, event.before),
      hashOfState(salt, event.after),
    ],
  );
}

/** Writes what stands in the audit trail alone. Nobody waits for a number, and each happens once, with its transaction. */
function insertChanges(tx: Transaction, changes: readonly Change[], actor: Actor): void {
  const rows = changes.map((change) => ({ ...change, eventId: newId(), salt: randomBytes(16) }));
  tx.send(
    `insert into event
       (event_id, application_id, type, token_id, session_id, subject_id, key_id, actor_kind, actor_id, request_id,
        salt, dedupe_key, reason, before_sha256, after_sha256)
     select r.event_id, r.application_id, r.type, r.token_id, r.session_id, r.subject_id, r.key_id, $1, r.actor_id, r.request_id,
       r.salt, r.event_id::text, r.reason, r.before_sha256, r.after_sha256
     from unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[],
       $10::text[], $11::bytea[], $12::text[], $13::bytea[], $14::bytea[])
       as r(event_id, application_id, type, token_id, session_id, subject_id, key_id, actor_id, request_id, salt, reason,
         before_sha256, after_sha256)`,
    [
      actor.kind,
      rows.map(({ eventId }) => eventId),
      rows.map(({ applicationId }) => applicationId),
      rows.map(({ type }) => type),
      rows.map(({ tokenId = null }) => tokenId),
      rows.map(({ sessionId = null }) => sessionId),
      rows.map((row) => row.subjectId ?? row.sessionId ?? row.tokenId ?? row.applicationId),
      rows.map(({ keyId = null }) => keyId),
      rows.map(({ applicationId }) => namedIn(applicationId, actor)),
      rows.map(({ applicationId }) => requestNamedIn(applicationId, actor)),
      rows.map(({ salt }) => salt),
      rows.map(({ reason = null }) => reason),
      rows.map(({ salt, before }) => hashOfState(salt, before)),
      rows.map(({ salt, after }) => hashOfState(salt, after)),
    ],
  );
}

/** The id of who did it, for the trail of its own application: keys and people of others are not named there. */
function namedIn(applicationId: string, actor: Actor): string | null {
  return isOwn(applicationId, actor) ? actor.id : null;
}

/** The id of the call, likewise: its text is what the caller chose. */
function requestNamedIn(applicationId: string, actor: Actor): string | null {
  return isOwn(applicationId, actor) ? (actor.requestId ?? null) : null;
}

function isOwn(applicationId: string, actor: Actor): boolean {
  return actor.applicationId === undefined || actor.applicationId === applicationId;
}

function saltedHash(salt: Buffer, text: string): Buffer {
  return createHash('sha256').update(salt).update(text).digest();
}

function hashOfState(salt: Buffer, state: JsonObject | undefined): Buffer | null {
  return state === undefined ? null : saltedHash(salt, canonicalJson(state));
}
