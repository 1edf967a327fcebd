import type { BlindIndex, ContentSealer, HandoffTransaction } from '../sharing/ports.ts';
import { eventStore } from './events.ts';
import { newId } from './new-id.ts';
import { onboardingStore } from './onboardings.ts';
import { RUNS_CHANNEL } from './outbox.ts';
import { importStore } from './session-imports.ts';
import { sessionStore } from './sessions.ts';
import { shareStore } from './shares.ts';
import type { Transaction } from './tenants.ts';

/** One Postgres transaction, as the verbs of `sharing/` see it. */
export function handoffTransaction(tx: Transaction, sealer: ContentSealer, blindIndex: BlindIndex): HandoffTransaction {
  return {
    sessions: sessionStore(tx),
    shares: shareStore(tx),
    onboardings: onboardingStore(tx, sealer),
    imports: importStore(tx),
    events: eventStore(tx, sealer),
    sealer,
    blindIndex,
    newId,
    wishStart: (tokenId) => {
      tx.wish({ wish: 'start', tokenId, subjectId: tokenId, signal: null });
      tx.send(`select pg_notify('${RUNS_CHANNEL}', '')`);
    },
    wishSignal: (tokenId, signal, rowId) => tx.wish({ wish: 'signal', tokenId, subjectId: rowId, signal }),
    wishImport: (importId) => tx.wish({ wish: 'start_import', tokenId: null, subjectId: importId, signal: null }),
    wishMediaFetch: (sessionId) => tx.wish({ wish: 'fetch_media', tokenId: null, subjectId: sessionId, signal: null }),
  };
}
