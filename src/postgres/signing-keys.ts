import type { Transaction } from './tenants.ts';

/** Records which keys a process holds and which one signs. The worker mints with that id, and never sees the key. */
export function registerSigningKeys(tx: Transaction, ring: { activeKid: string; kids: readonly string[] }): void {
  tx.send('lock table signing_key in share row exclusive mode');
  tx.send(
    `insert into signing_key (kid, active) select kid, false from unnest($1::text[]) as k(kid) on conflict do nothing`,
    [ring.kids],
  );
  tx.send('update signing_key set active = false where active and kid <> $1', [ring.activeKid]);
  tx.send('update signing_key set active = true where not active and kid = $1', [ring.activeKid]);
}
