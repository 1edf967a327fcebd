import type { NewApiKey } from '../accounts/api-keys.ts';
import type { StoredApiKey } from '../accounts/key-checker.ts';
import type { Privileges } from '../accounts/privileges.ts';
import type { Transaction } from './tenants.ts';

/** Looks a key up by its id, living or not. */
export async function findApiKey(tx: Transaction, keyId: string): Promise<StoredApiKey | null> {
  const [row] = await tx.query<StoredApiKey>(
    `select key_id as "keyId", application_id as "applicationId", secret_sha256 as sha256, privileges,
       revoked_at is null and (expires_at is null or expires_at > handoff_now()) as living
     from api_key where key_id = $1`,
    [keyId],
  );
  return row ?? null;
}

/** Stores a new key without its text. `expiresAt` is ISO 8601. */
export function insertApiKey(
  tx: Transaction,
  key: NewApiKey,
  of: { applicationId: string; name: string; privileges: Privileges; expiresAt: string | null },
): void {
  tx.send(
    `insert into api_key (key_id, application_id, name, secret_sha256, last_four, privileges, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [key.keyId, of.applicationId, of.name, key.sha256, key.lastFour, JSON.stringify(of.privileges), of.expiresAt],
  );
}
