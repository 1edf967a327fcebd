import { attemptDelivery, type AttemptTools } from './attempt-delivery.ts';
import type { DeliveryLedger } from './ports.ts';

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
  /** Attempts under way at once in this process; default 64. */
  readonly maxInFlight?: number;
  /** Milliseconds between polls when nobody wakes it; default 1,000. */
  readonly pollMs?: number;
}

/** Makes the first attempt of every delivery that is due, at once when woken and by polling behind that. */
export function startSender(ledger: DeliveryLedger, tools: AttemptTools, options: SenderOptions): Sender {
  const maxInFlight = options.maxInFlight ?? 64;
  const inFlight = new Set<Promise<void>>();
  const stopping = new AbortController();
  let woken = false;
  let interrupt = (): void => {};

  async function claim(): Promise<number> {
    const room = maxInFlight - inFlight.size;
    if (room <= 0) return 0;
    const { claimed } = await ledger.claimDue(room);
    for (const delivery of claimed) {
      const attempt = attemptDelivery(delivery, tools)
        .then((record) => ledger.record(record))
        .catch(options.onError)
        .finally(() => {
          inFlight.delete(attempt);
          if (woken || inFlight.size === maxInFlight - 1) interrupt();
        });
      inFlight.add(attempt);
    }
    return claimed.length;
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false;
      let claimed = 0;
      try {
        claimed = await claim();
      } catch (error) {
        options.onError(error);
      }
      if (claimed > 0 || stopping.signal.aborted || woken) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, options.pollMs ?? 1_000);
        interrupt = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  const running = loop();
  return {
    wake: () => {
      woken = true;
      interrupt();
    },
    stop: async () => {
      stopping.abort();
      interrupt();
      await running;
      await Promise.all(inFlight);
    },
  };
}
