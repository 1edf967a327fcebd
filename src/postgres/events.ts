import { createHash, randomBytes } from 'node:crypto';
import { isDispatched, type Actor } from '../domain/events.ts';
import type { EventStore, NewEvent, PayloadSealer, SealContext } from '../sharing/ports.ts';
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
        if (!isDispatched(event.type)) return [];
        return [{ wish: 'dispatch' as const, tokenId: event.tokenId, subjectId: eventId, signal: null }];
      });
      if (wishes.length > 0) tx.wish(...wishes);
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
  const { body, text } = signablePayload(event.body);
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
          salt, digest, dedupe_key)
       select $1::uuid, $2, $3, $4, $5, $13, last, $6, $7, $12, $8, $9, $10 from numbered
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
      actor.id,
      salt,
      createHash('sha256').update(salt).update(text).digest(),
      event.dedupeKey,
      sealer.sealPayload(sealContextOfEvent({ ...event, eventId }), body),
      actor.requestId ?? null,
      event.sessionId ?? event.tokenId ?? event.subjectId ?? eventId,
    ],
  );
}
