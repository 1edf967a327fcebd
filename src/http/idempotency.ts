import { createHmac, hkdfSync } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refusal, invalidFields } from '../domain/failures.ts';
import type { Work } from '../postgres/handoff-tenants.ts';
import { storeEffect, takeIdempotencySlot } from '../postgres/idempotency.ts';
import type { Transaction } from '../postgres/tenants.ts';
import type { HandoffTransaction } from '../sharing/ports.ts';
import { bodySha256Of } from './json-body.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Bodies of requests without an API key are hashed under it. */
    bodyKey: Uint8Array;
  }
}

/** Lets requests without an API key have an effect once, too. @param key 32 bytes or more, to derive one from */
export function keepBodiesSecret(app: FastifyInstance, key: Uint8Array): void {
  app.decorate('bodyKey', Buffer.from(hkdfSync('sha256', key, '', 'handoff idempotency of bodies', 32)));
}

/** What a POST did: its status, and the id of what it made or changed. `result` is what its answer is rendered from. */
export interface Effect<T> {
  readonly status: number;
  /** What a replay finds it by: a UUID, an API key's id, or a number where only that is left. */
  readonly resourceId: string;
  readonly result: T;
  /** Nothing is remembered: more of it comes in a transaction after this one, or it is a refusal that left traces. */
  readonly unfinished?: boolean;
}

/** An effect's answer, to be rendered: `replayed` when an earlier request had the effect. */
export interface Outcome<T> {
  readonly status: number;
  readonly result: T;
  readonly replayed: boolean;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** @throws {Refusal} when there is an `Idempotency-Key` that is none */
export function idempotencyKeyOf(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || !KEY.test(key)) {
    throw invalidFields({ 'Idempotency-Key': ['Must be 1 to 255 visible ASCII characters, such as a UUID.'] });
  }
  return key;
}

/**
 * Has a POST's effect once per `Idempotency-Key` (contract, "Outside Didit's contract"), within the effect's own
 * transaction. Only a committed effect is remembered, so a refusal is evaluated anew.
 *
 * @param replay renders an earlier effect's resource again; null when it has been deleted since
 * @throws {Refusal} `idempotency_in_progress`, `idempotency_key_reused`, `resource_deleted`, and whatever `run` refuses
 */
export async function oncePerKey<T>(
  request: FastifyRequest,
  sql: Transaction,
  effect: {
    readonly run: () => Promise<Effect<T>>;
    readonly replay: (resourceId: string) => Promise<T | null>;
  },
): Promise<Outcome<T>> {
  const key = idempotencyKeyOf(request);
  if (key === null) return { ...(await effect.run()), replayed: false };
  const slot = { scope: scopeOf(request), key };
  const route = routeOf(request);
  const bodySha256 = bodyDigestOf(request);
  const earlier = await takeIdempotencySlot(sql, slot);
  if (earlier === 'busy') throw new Refusal('idempotency_in_progress');
  if (earlier === null) {
    const { status, resourceId, result, unfinished } = await effect.run();
    if (unfinished !== true) storeEffect(sql, slot, { route, bodySha256, status, resourceId });
    return { status, result, replayed: false };
  }
  if (earlier.route !== route || !earlier.bodySha256.equals(bodySha256)) throw new Refusal('idempotency_key_reused');
  const result = await effect.replay(earlier.resourceId);
  if (result === null) throw new Refusal('resource_deleted');
  return { status: earlier.status, result, replayed: true };
}

/**
 * Has an effect that is too large for one transaction batch by batch, once per `Idempotency-Key`: {@link oncePerKey} in
 * a transaction for each. The last batch remembers the whole; a request that was cut short goes on where it stopped.
 *
 * @param within opens a transaction
 * @param effect `run` does the next batch and is `unfinished` as long as there may be more; it gets what the batches
 *   before came to, and results in that and its own
 */
export async function oncePerKeyInBatches<T>(
  request: FastifyRequest,
  within: (batch: Work<Outcome<T>>) => Promise<Outcome<T>>,
  effect: {
    readonly nothing: T;
    readonly run: (earlier: T, tx: HandoffTransaction, sql: Transaction) => Promise<Effect<T>>;
    readonly replay: (resourceId: string) => Promise<T | null>;
  },
): Promise<Outcome<T>> {
  let earlier = effect.nothing;
  for (;;) {
    let more = false;
    const outcome = await within((tx, sql) =>
      oncePerKey<T>(request, sql, {
        run: async () => {
          const batch = await effect.run(earlier, tx, sql);
          more = batch.unfinished === true;
          return batch;
        },
        replay: effect.replay,
      }),
    );
    // Nobody waits any longer: what is left is for the next request.
    if (!more || request.socket.destroyed) return outcome;
    earlier = outcome.result;
  }
}

/** Sets an outcome's status, and says when it is a replay. */
export function answerWith(reply: FastifyReply, outcome: Outcome<unknown>): void {
  void reply.code(outcome.status);
  if (outcome.replayed) void reply.header('idempotent-replayed', 'true');
}

/** The API key; where there is none, the person who is logged in, and else the address, hashed. */
function scopeOf(request: FastifyRequest): string {
  return request.caller?.keyId ?? request.limitedBy ?? request.server.rateLimiter.addressBucket(request.ip);
}

/** Without an API key the body may hold a password, of which no plain hash may be stored. */
function bodyDigestOf(request: FastifyRequest): Buffer {
  const sha256 = bodySha256Of(request);
  return request.caller === null ? createHmac('sha256', request.server.bodyKey).update(sha256).digest() : sha256;
}

function routeOf(request: FastifyRequest): string {
  const path = request.url.split('?', 1)[0] ?? '';
  return `${request.method} ${path.endsWith('/') ? path : `${path}/`}`;
}
