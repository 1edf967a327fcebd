import type { KeyRing } from '../../src/crypto/key-ring.ts';
import type { Transaction } from '../../src/postgres/tenants.ts';

/** Names the keys of a ring that a test's processes hold by themselves: the active one signs what is minted. */
export function nameKeys(sql: Transaction, { activeKid, kids }: Pick<KeyRing, 'activeKid' | 'kids'>): void {
  sql.send(
    `insert into signing_key (kid, state, activated_at, retired_at)
     select kid, case when kid = $1 then 'active' else 'retiring' end, handoff_now(), handoff_now()
     from unnest($2::text[]) as k(kid) on conflict do nothing`,
    [activeKid, kids],
  );
}
