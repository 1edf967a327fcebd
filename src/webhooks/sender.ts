import { interruptiblePause } from '../interruptible-pause.ts';
import { attemptDelivery, type AttemptTools } from './attempt-delivery.ts';
import type { ClaimedDelivery, DeliveryLedger } from './ports.ts';

/** A running sender. */
export interface Sender {
  /** Looks for due deliveries now, instead of at the next poll. */
  wake(): void;
  /** Takes no more deliveries and waits for those under way. */
  stop(): Promise<void>;
}

export interface SenderOptions {
  /** Called when the database could not be asked or an attempt could not be recorded; its lease runs out then. */
  readonly onError: (error: unknown) => void;
  /** Attempts of this process that began within `freshMs`; default 128. */
  readonly maxFresh?: number;
  /** Attempts under way at once in this process, so that many slow destinations hold up no fast one; default 512. */
  readonly maxInFlight?: number;
  /** Milliseconds after which an attempt counts as slow; default 250. */
  readonly freshMs?: number;
  /** Milliseconds between polls when nobody wakes it; default 1,000. */
  readonly pollMs?: number;
}

/** Milliseconds until another look when other processes had the destinations that something was due for. */
const BUSY_MS = 25;

/** Makes the first attempt of every delivery that is due, at once when woken and by polling behind that. */
export function startSender(ledger: DeliveryLedger, tools: AttemptTools, options: SenderOptions): Sender {
  const { maxFresh = 128, maxInFlight = 512, freshMs = 250, pollMs = 1_000 } = options;
  const inFlight = new Set<Promise<void>>();
  let fresh = 0;
  const stopping = new AbortController();
  let woken = false;
  /** There is room again, here or at a destination. */
  let freed = false;
  /** Whether that is waited for. */
  let hungry = false;
  const pause = interruptiblePause();

  function free(): void {
    freed = true;
    if (woken || hungry) pause.end();
  }

  function begin(delivery: ClaimedDelivery): void {
    fresh += 1;
    let aged = false;
    const age = () => {
      if (aged) return;
      aged = true;
      fresh -= 1;
    };
    const timer = setTimeout(() => {
      age();
      free();
    }, freshMs);
    const attempt = attemptDelivery(delivery, tools)
      .then((record) => ledger.record(record))
      .catch(options.onError)
      .finally(() => {
        clearTimeout(timer);
        age();
        inFlight.delete(attempt);
        free();
      });
    inFlight.add(attempt);
  }

  /** Milliseconds until the next look, unless something happens before. */
  async function look(): Promise<number> {
    const room = Math.min(maxFresh - fresh, maxInFlight - inFlight.size);
    hungry = room <= 0;
    if (hungry) return pollMs;
    const { claimed, more, busy } = await ledger.claimDue(room);
    claimed.forEach(begin);
    hungry = more;
    if (claimed.length === room) return 0;
    return busy ? BUSY_MS : pollMs;
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false;
      freed = false;
      let pauseMs = pollMs;
      try {
        pauseMs = await look();
      } catch (error) {
        options.onError(error);
      }
      if (pauseMs === 0 || stopping.signal.aborted || woken || (hungry && freed)) continue;
      await pause.wait(pauseMs);
    }
  }

  const running = loop();
  return {
    wake: () => {
      woken = true;
      pause.end();
    },
    stop: async () => {
      stopping.abort();
      pause.end();
      await running;
      await Promise.all(inFlight);
    },
  };
}
