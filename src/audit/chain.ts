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

/** sha256 over the previous hash (32 bytes), the position (8 bytes, big-endian) and the row's hash (32 bytes). */
export function chainHash(previous: Uint8Array, position: number, row: Uint8Array): Buffer {
  const place = Buffer.alloc(8);
  place.writeBigUInt64BE(BigInt(position));
  return createHash('sha256').update(previous).update(place).update(row).digest();
}

/** Links events to a chain, in this order. */
export function link(head: ChainHead, events: readonly AuditedEvent[]): Link[] {
  let { position, chainHash: previous } = head;
  return events.map((event) => {
    const row = rowHash(event);
    position += 1;
    previous = chainHash(previous, position, row);
    return { eventId: event.event_id ?? '', position, rowHash: row, chainHash: previous };
  });
}
