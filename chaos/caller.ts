import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isJsonObject, type JsonObject, type JsonValue } from '../src/domain/json.ts';
import type { Brand } from './brands.ts';
import type { Call, Ledger } from './ledger.ts';

/** What a client wants of the service. */
export interface Wish {
  /** As the ledger names it. */
  readonly wish: string;
  readonly as: Brand;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: JsonObject;
  /** The same one goes with every try; null sends none. A POST has one of its own by default. */
  readonly key?: string | null;
  readonly tokenId?: string;
  /** Codes of refusals that the story explains, beside a success. */
  readonly explained?: readonly string[];
}

/** Calls the servers of a rig, and notes every call. */
export interface Caller {
  /** One try at the next server. */
  once(wish: Wish): Promise<Call>;
  /**
   * Tries again at the other server, with the same key, as long as nothing came back or it was told to come again; gives
   * up after some tries. Resolves to the last one.
   */
  insist(wish: Wish): Promise<Call>;
}

/** Told to come again: an outage, another request under the same key, a limit. */
const COME_AGAIN = new Set(['service_unavailable', 'idempotency_in_progress', 'rate_limited']);
/** Longer than a server waits for anything. */
const PATIENCE_MS = 30_000;
const TRIES = 12;

/** @param urls base URLs of the servers, asked again at each call */
export function createCaller(urls: () => readonly string[], ledger: Pick<Ledger, 'note'>): Caller {
  let turn = 0;

  async function once(wish: Wish): Promise<Call> {
    const { as, method, path, body, tokenId = null } = wish;
    const key = wish.key === undefined ? (method === 'POST' ? randomUUID() : null) : wish.key;
    const all = urls();
    const server = all[turn++ % all.length];
    if (server === undefined) throw new Error('there is no server to call');
    const at = Date.now();
    const answer = await fetch(new URL(path, server), {
      method,
      headers: {
        'x-api-key': as.key,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(key !== null && { 'idempotency-key': key }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
      .then(async (response) => ({
        status: response.status,
        replayed: response.headers.get('idempotent-replayed') === 'true',
        text: await response.text(),
      }))
      // Refused, reset or never answered: nobody knows whether it was done.
      .catch(() => null);
    const { value, unreadable } = parsed(answer?.text ?? '');
    const told = {
      wish: wish.wish,
      as: as.id,
      method,
      path,
      idempotencyKey: key,
      tokenId,
      status: answer?.status ?? null,
      replayed: answer?.replayed ?? false,
      body: value,
      at,
      ms: Date.now() - at,
    };
    const call = { ...told, unexpected: unreadable ? 'the body is no JSON object' : unexplained(told, wish) };
    ledger.note(call);
    return call;
  }

  async function insist(wish: Wish): Promise<Call> {
    const steady = {
      ...wish,
      key: wish.key === undefined && wish.method === 'POST' ? randomUUID() : (wish.key ?? null),
    };
    for (let tries = 1; ; tries += 1) {
      const call = await once(steady);
      if (tries === TRIES || !(call.status === null || COME_AGAIN.has(codeOf(call)))) return call;
      await pause(Math.min(4_000, 100 * 2 ** tries));
    }
  }

  return { once, insist };
}

/** Whether the service said yes. */
export function isSuccess({ status }: Pick<Call, 'status'>): boolean {
  return status !== null && status >= 200 && status <= 299;
}

/** The failure code of an answer; empty when it has none. */
export function codeOf({ body }: Pick<Call, 'body'>): string {
  const code = body?.['code'];
  return typeof code === 'string' ? code : '';
}

/** Why nothing that the client did explains the answer. */
function unexplained(call: Pick<Call, 'status' | 'body'>, { explained = [] }: Wish): string | null {
  const code = codeOf(call);
  if (call.status === null || isSuccess(call) || COME_AGAIN.has(code) || explained.includes(code)) return null;
  return `${call.status} ${code}`;
}

function parsed(text: string): { readonly value: JsonObject | null; readonly unreadable: boolean } {
  if (text === '') return { value: null, unreadable: false };
  try {
    const value = JSON.parse(text) as JsonValue;
    return isJsonObject(value) ? { value, unreadable: false } : { value: null, unreadable: true };
  } catch {
    return { value: null, unreadable: true };
  }
}
