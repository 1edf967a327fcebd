import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Field } from './field.ts';
import { startHostileReceiver } from './hostile-receiver.ts';
import type { Lab } from './lab.ts';

/** A webhook as it came in. */
export interface Arrival {
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
  readonly eventId: string;
}

/** A receiver that behaves, and the events that were told for it. */
export interface Correspondence {
  readonly url: string;
  /** Tells an application an event, which is to arrive here. */
  tell(applicationId: string): Promise<void>;
  /** How many of the events told so far have not arrived. */
  missing(): number;
  /** Waits until everything told before now has arrived, `patienceMs` milliseconds at most. */
  settle(patienceMs: number): Promise<void>;
  /** Milliseconds from before its commit to its arrival of every event told, Infinity for what did not come; in order. */
  delays(): readonly number[];
  /** Begins anew: what was told before is not spoken of any more. */
  forget(): void;
}

/**
 * Opens a receiver.
 *
 * @param receive called with every webhook; answers it, by default with 200 at once
 */
export async function openCorrespondence(
  lab: Lab,
  field: Field,
  receive: (arrival: Arrival, response: ServerResponse) => void = (_arrival, response) => response.end(),
): Promise<Correspondence> {
  const receiver = await startHostileReceiver();
  lab.onEnd(() => receiver.close());
  // By their `session_id`. An event may arrive before whoever told it knows of its commit.
  const told = new Map<string, number>();
  const arrived = new Map<string, number>();
  const url = await receiver.http((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      const { session_id: sessionId, event_id: eventId } = JSON.parse(body) as Record<string, string>;
      // What comes of a lost attempt comes again.
      if (!arrived.has(String(sessionId))) arrived.set(String(sessionId), performance.now());
      receive({ body, headers: request.headers, eventId: String(eventId) }, response);
    });
  });
  const absent = () => [...told.keys()].filter((sessionId) => !arrived.has(sessionId));
  return {
    url,
    tell: async (applicationId) => {
      const begun = performance.now();
      told.set(await field.tell(applicationId), begun);
    },
    missing: () => absent().length,
    settle: async (patienceMs) => {
      const until = Date.now() + patienceMs;
      const awaited = absent();
      while (awaited.some((sessionId) => !arrived.has(sessionId)) && Date.now() < until) await pause(20);
    },
    delays: () =>
      [...told].map(([sessionId, at]) => (arrived.get(sessionId) ?? Infinity) - at).sort((one, other) => one - other),
    forget: () => told.clear(),
  };
}
