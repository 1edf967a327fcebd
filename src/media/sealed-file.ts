import type { KeyedSession, PayloadSealer, SealContext } from '../sharing/ports.ts';

/** The bytes that are stored for a file: sealed with its session's data key. The object's key is the hash of what this returns. */
export function sealFile(sealer: PayloadSealer, session: KeyedSession, mediaId: string, bytes: Uint8Array): Buffer {
  return sealer.sealBytes(contextOf(session, mediaId), bytes, session.key);
}

/** The file again. A clone has the key of its source, so that both open the one object. @throws {PayloadUnreadable} */
export function openFile(sealer: PayloadSealer, session: KeyedSession, mediaId: string, stored: Buffer): Buffer {
  return sealer.openBytes(contextOf(session, mediaId), stored, session.key);
}

function contextOf({ applicationId, sessionId }: KeyedSession, mediaId: string): SealContext {
  return { applicationId, sessionId, category: `media:${mediaId}`, position: 0 };
}
