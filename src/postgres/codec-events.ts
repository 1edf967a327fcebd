import { randomBytes } from 'node:crypto';
import type { RefusalReason } from '../crypto/temporal-codec.ts';
import type { PlatformEventType } from '../domain/events.ts';
import { isUuid, PLATFORM_ID } from '../domain/ids.ts';
import { newId } from './new-id.ts';
import type { Transaction } from './tenants.ts';

/** Payloads of Temporal that somebody had decoded. */
export interface Decoding {
  /** Who, as the codec server knows the caller. */
  readonly operator: string;
  readonly requestId: string;
  readonly namespace: string;
  /** How many. */
  readonly payloads: number;
}

/** Payloads of one run that the codec did not take. */
export interface RefusedPayloads {
  readonly reason: RefusalReason;
  /** Null where it is not known, or no id of ours. */
  readonly workflowId: string | null;
  /** How often; each replay decodes anew. */
  readonly payloads: number;
}

/** Writes who had payloads decoded into the platform's audit trail. Needs the right to insert events, and no other. */
export function tellOfDecoding(tx: Transaction, { operator, requestId, namespace, payloads }: Decoding): void {
  insert(tx, 'temporal.decoded', {
    actor: { kind: 'operator', id: operator },
    requestId,
    reason: `payloads=${payloads} namespace=${namespace}`,
    subjectId: null,
  });
}

/**
 * Writes that a run's payloads were refused into the platform's audit trail. Its subject is what the run is about, the
 * last UUID of its id; the reason names the kind of run, the id's prefix.
 */
export function tellOfRefusal(tx: Transaction, { reason, workflowId, payloads }: RefusedPayloads): void {
  const parts = workflowId?.split(':') ?? [];
  const subjectId = parts.at(-1);
  const kind = parts.length > 1 ? parts[0] : undefined;
  insert(tx, 'temporal.payload_refused', {
    actor: { kind: 'system', id: null },
    requestId: null,
    reason: [reason, `payloads=${payloads}`, ...(kind === undefined ? [] : [`run=${kind}`])].join(' '),
    subjectId: subjectId !== undefined && isUuid(subjectId) ? subjectId : null,
  });
}

function insert(
  tx: Transaction,
  type: PlatformEventType,
  about: {
    readonly actor: { readonly kind: 'operator' | 'system'; readonly id: string | null };
    readonly requestId: string | null;
    readonly reason: string;
    readonly subjectId: string | null;
  },
): void {
  const eventId = newId();
  tx.send(
    `insert into event (event_id, application_id, type, subject_id, actor_kind, actor_id, request_id, salt, dedupe_key, reason)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      eventId,
      PLATFORM_ID,
      type,
      about.subjectId ?? eventId,
      about.actor.kind,
      about.actor.id,
      about.requestId,
      randomBytes(16),
      `${type}:${eventId}`,
      about.reason,
    ],
  );
}
