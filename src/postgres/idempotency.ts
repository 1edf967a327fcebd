import type { Transaction } from './tenants.ts';

/** What was done under a key, without any of its content. */
export interface StoredEffect {
  /** Method and path. */
  readonly route: string;
  readonly bodySha256: Buffer;
  readonly status: number;
  readonly resourceId: string;
}

/** Who used which key: keys of different scopes never meet. */
export interface IdempotencySlot {
  readonly scope: string;
  readonly key: string;
}

/**
 * Takes the slot for this transaction, without ever waiting for it, and reads what was done under it in the last 24
 * hours.
 *
 * @returns `busy` while another transaction holds it
 */
export async function takeIdempotencySlot(
  tx: Transaction,
  slot: IdempotencySlot,
): Promise<'busy' | StoredEffect | null> {
  const [[lock], [stored]] = await Promise.all([
    tx.query<{ taken: boolean }>('select pg_try_advisory_xact_lock(hashtextextended($1, 2)) as taken', [
      `${slot.scope}:${slot.key}`,
    ]),
    // A statement of its own: it sees what the last holder of the lock committed.
    tx.query<StoredEffect>(
      `select route, body_sha256 as "bodySha256", status, resource_id as "resourceId" from idempotency_key
       where scope = $1 and key = $2 and created_at > handoff_now() - interval '24 hours'`,
      [slot.scope, slot.key],
    ),
  ]);
  if (lock?.taken !== true) return 'busy';
  return stored ?? null;
}

/** Remembers an effect in the transaction that has it; takes the place of one that is older than 24 hours. */
export function storeEffect(tx: Transaction, slot: IdempotencySlot, effect: StoredEffect): void {
  tx.send(
    `insert into idempotency_key (scope, key, route, body_sha256, status, resource_id, created_at)
     values ($1, $2, $3, $4, $5, $6, handoff_now())
     on conflict (scope, key) do update set route = excluded.route, body_sha256 = excluded.body_sha256,
       status = excluded.status, resource_id = excluded.resource_id, created_at = excluded.created_at`,
    [slot.scope, slot.key, effect.route, effect.bodySha256, effect.status, effect.resourceId],
  );
}
