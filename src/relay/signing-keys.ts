import type { Actor } from '../domain/events.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { endSweeps, removeRetiredKeys, tokensOfRemovedKeys } from '../postgres/signing-keys.ts';
import { revokeForRemovedKey } from '../sharing/revoke.ts';

const BATCH = 50;
const SYSTEM: Actor = { kind: 'system', id: null };

/**
 * Removes the keys that retired a day ago, and revokes what is open of removed ones, also what a mint that was under way
 * committed after the removal.
 *
 * @returns whether there may be more to revoke
 */
export async function tendSigningKeys(handoff: HandoffTenants): Promise<boolean> {
  const tokenIds = await handoff.acrossTenants('relay', async (tx, sql) => {
    const [open] = await Promise.all([tokensOfRemovedKeys(sql, BATCH), removeRetiredKeys({ tx, sql, actor: SYSTEM })]);
    if (open.length === 0) endSweeps(sql);
    return open;
  });
  await revokeAll(handoff, tokenIds);
  return tokenIds.length > 0;
}

/**
 * Revokes open tokens of a removed key, each in a transaction of its own, some of them at a time. Their issuers and
 * partners are told of it: who removed the key stands in the platform's trail alone.
 *
 * @returns how many were open; call it again until none is
 */
export async function revokeTokensOf(kid: string, handoff: HandoffTenants): Promise<number> {
  const tokenIds = await handoff.acrossTenants('relay', (_tx, sql) => tokensOfRemovedKeys(sql, BATCH, kid));
  await revokeAll(handoff, tokenIds);
  return tokenIds.length;
}

async function revokeAll(handoff: HandoffTenants, tokenIds: readonly string[]): Promise<void> {
  const outcomes = await Promise.allSettled(
    tokenIds.map((tokenId) => handoff.acrossTenants('relay', (tx) => revokeForRemovedKey(tx, tokenId, SYSTEM))),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
