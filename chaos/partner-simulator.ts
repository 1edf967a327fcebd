import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { isJsonObject, type JsonObject, type JsonValue } from '../src/domain/json.ts';
import type { Brand } from './brands.ts';
import { createCaller } from './caller.ts';
import type { Ledger } from './ledger.ts';
import { takeShare } from './partner-acts.ts';
import { createRandom, type Random } from './random.ts';

/** How a webhook is answered. */
interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

/** The backends of all brands: one HTTP receiver on loopback, which acts on the shares that it is told of. */
export interface PartnerSimulator {
  /** Where an application's webhooks go. */
  urlFor(applicationId: string): string;
  /** From here on shares are acted on, by calls to these servers. Without it webhooks are answered, and that is all. */
  act(brands: readonly Brand[], serverUrls: () => readonly string[]): void;
  /** From here on every webhook is answered 200 at once. */
  calm(): void;
  /** Resolves when every act that was begun has ended. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the receiver on a free port. Each webhook is in the ledger before it is answered. */
export async function startPartnerSimulator(order: {
  readonly ledger: Pick<Ledger, 'hear' | 'note'>;
  readonly seed: number;
}): Promise<PartnerSimulator> {
  const { ledger } = order;
  const random = createRandom(order.seed ^ 0x5a17);
  const attempts = new Map<string, number>();
  const acts = new Set<Promise<void>>();
  /** By how often an event has come to an application, from 1. */
  let replyTo = (nth: number): Reply => moody(random, nth);
  let begin: ((as: string, event: JsonObject) => void) | null = null;

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => void answer(request, Buffer.concat(chunks).toString('utf8'), response));
  });

  async function answer(request: IncomingMessage, rawBody: string, response: ServerResponse): Promise<void> {
    const as = (request.url ?? '').slice(1);
    const headers: IncomingHttpHeaders = request.headers;
    const event = eventOf(rawBody);
    const about = `${as} ${String(event?.['event_id'])}`;
    const nth = (attempts.get(about) ?? 0) + 1;
    attempts.set(about, nth);
    const reply = replyTo(nth);
    ledger.hear({ as, rawBody, headers, status: reply.status, at: Date.now() });
    if (reply.delayMs !== undefined) await pause(reply.delayMs);
    response.writeHead(reply.status, reply.headers).end();
    // A backend that failed has not taken note; one that gets it again may have.
    const heeds = nth === 1 ? reply.status < 300 : random.next() < 0.3;
    if (event?.['webhook_type'] === 'share.received' && heeds) begin?.(as, event);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;

  return {
    urlFor: (applicationId) => `http://127.0.0.1:${port}/${applicationId}`,
    act: (brands, serverUrls) => {
      const caller = createCaller(serverUrls, ledger);
      const byId = new Map(brands.map((brand) => [brand.id, brand]));
      begin = (as, event) => {
        const partner = byId.get(as);
        if (partner === undefined) return;
        const act = takeShare({ caller, random, partner, event });
        acts.add(act);
        void act.finally(() => acts.delete(act));
      };
    },
    calm: () => {
      replyTo = () => ({ status: 200 });
    },
    settled: async () => {
      while (acts.size > 0) await Promise.allSettled(acts);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Mostly 200; now and then out of order, slow, or busy. The third try at an event always gets through. */
function moody(random: Random, nth: number): Reply {
  const chance = random.next();
  if (nth > 2 || chance > 0.07) return { status: 200 };
  if (chance > 0.04) return { status: 500 };
  if (chance > 0.02) return { status: 503 };
  if (chance > 0.019) return { status: 429, headers: { 'retry-after': '2' } };
  // The last of them longer than a sender waits.
  return { status: 200, delayMs: chance > 0.002 ? random.between(500, 3_000) : 12_000 };
}

function eventOf(rawBody: string): JsonObject | null {
  try {
    const value = JSON.parse(rawBody) as JsonValue;
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
