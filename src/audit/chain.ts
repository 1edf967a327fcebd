import { createHash } from 'node:crypto';
import { rowHash, type AuditedEvent } from './audited-event.ts';

/** The end of a chain: its last position (0 before the first) and the hash there. */
export interface ChainHead {
  readonly position: number;
  readonly chainHash: Buffer;
}

/** An event's place in its application's chain. */
export interface Link {
  readonly eventId: string;
  readonly position: number;
  readonly rowHash: Buffer;
  readonly chainHash: Buffer;
}

/** Where the chain of an application begins: nothing is sealed, and no two applications begin alike. */
export function emptyChain(applicationId: string): ChainHead {
  return { position: 0, chainHash: createHash('sha256').update(`handoff audit chain v1\n${applicationId}`).digest() };
}

/** What a row of a chain binds to the hash before it. */
export interface Place {
  readonly position: number;
  readonly rowHash: Uint8Array;
  /** ISO 8601 UTC with microseconds. */
  readonly sealedAt: string;
}

/**
 * sha256 over the previous hash (32 bytes), the position (8 bytes, big-endian), the row's hash (32 bytes) and the text of
 * when it was sealed.
 */
export function chainHash(previous: Uint8Array, { position, rowHash: row, sealedAt }: Place): Buffer {
  const place = Buffer.alloc(8);
  place.writeBigUInt64BE(BigInt(position));
  return createHash('sha256').update(previous).update(place).update(row).update(sealedAt).digest();
}

/** Links events to a chain, in this order. @param sealedAt ISO 8601 UTC with microseconds */
export function link(head: ChainHead, events: readonly AuditedEvent[], sealedAt: string): Link[] {
  let { position, chainHash: previous } = head;
  return events.map((event) => {
    const row = rowHash(event);
    position += 1;
    previous = chainHash(previous, { position, rowHash: row, sealedAt });
    return { eventId: event.event_id ?? '', position, rowHash: row, chainHash: previous };
  });
}
