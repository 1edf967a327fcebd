import type { HandoffTransaction, SessionDataKey } from './ports.ts';
import { answerOf } from './share-answer.ts';

/**
 * An import met a session whose data key its token does not hold: a person who was linked, or finished, after the mint.
 * Nothing is written; once {@link wrapMissingKeys} was committed, the import works.
 */
export class KeyNotWrapped extends Error {
  override readonly name = 'KeyNotWrapped';
  readonly code = 'key_not_wrapped';
  readonly tokenId: string;

  constructor(tokenId: string) {
    super('the token does not hold the data key of everything that it shares');
    this.tokenId = tokenId;
  }
}

/** Leaves the data keys of a share with its token, wrapped for the partner, so that the import needs none of ours. */
export function wrapKeys(
  tx: HandoffTransaction,
  token: {
    readonly tokenId: string;
    readonly issuerId: string;
    readonly partnerId: string;
    readonly expiresAt: number;
  },
  keys: readonly SessionDataKey[],
): void {
  const wrapped = keys.map(({ sessionId, key }) => ({
    sessionId,
    key: tx.sealer.wrapFor(key, token.issuerId, token.partnerId),
  }));
  tx.shares.insertKeys(token.tokenId, token.expiresAt, wrapped);
}

/** Wraps what a token does not hold of what it would share by now; one that can no longer be imported gets nothing. */
export async function wrapMissingKeys(tx: HandoffTransaction, tokenId: string): Promise<void> {
  const share = await tx.shares.lock(tokenId);
  if (share?.token == null) return;
  const { state } = answerOf(share);
  if (state !== 'open' && state !== 'acknowledged') return;
  const { token } = share;
  wrapKeys(tx, { tokenId, ...token }, await tx.sessions.keysToShare(token.sessionId, token.issuerId));
}

/** Tries of an import; people may be linked between any two. */
const MAX_TRIES = 3;

/**
 * Runs an import, and again when it met a key that was not wrapped.
 *
 * @param run the whole import, in a transaction of its own
 * @param inTransaction runs the wrapping, in one that may see both sides
 * @throws {KeyNotWrapped} after three tries: it can be tried again
 */
export async function importWithKeys<T>(
  run: () => Promise<T>,
  inTransaction: (work: (tx: HandoffTransaction) => Promise<void>) => Promise<void>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof KeyNotWrapped) || attempt === MAX_TRIES) throw error;
      await inTransaction((tx) => wrapMissingKeys(tx, error.tokenId));
    }
  }
}
