import type { Transaction } from './tenants.ts';

/** A person of an organization. */
export interface AccountRow {
  readonly accountId: string;
  /** Null until the address is proven. */
  readonly organizationId: string | null;
  /** Sealed. */
  readonly email: Buffer;
  /** Null while the address is not proven and was registered with several passwords. */
  readonly passwordHash: string | null;
}

const COLUMNS = `account_id as "accountId", organization_id as "organizationId", email, password_hash as "passwordHash"`;

/** Finds an account by its address's index; `lock` holds it until the commit. */
export async function findAccount(
  tx: Transaction,
  emailIndex: Buffer,
  how: 'read' | 'lock' = 'read',
): Promise<AccountRow | null> {
  const [row] = await tx.query<AccountRow>(
    `select ${COLUMNS} from account where email_index = $1 ${how === 'lock' ? 'for update' : ''}`,
    [emailIndex],
  );
  return row ?? null;
}

/** Writes a new account, whose address nobody has proven yet. */
export function insertAccount(
  tx: Transaction,
  row: { accountId: string; emailIndex: Buffer; email: Buffer; passwordHash: string },
): void {
  tx.send('insert into account (account_id, email_index, email, password_hash) values ($1, $2, $3, $4)', [
    row.accountId,
    row.emailIndex,
    row.email,
    row.passwordHash,
  ]);
}

/** Takes the password from an account that is not proven yet. */
export function dropPassword(tx: Transaction, accountId: string): void {
  tx.send('update account set password_hash = null where account_id = $1 and verified_at is null', [accountId]);
}

/** Notes that the address is proven, and gives the account its organization, and its password if there is a new one. */
export function markVerified(
  tx: Transaction,
  accountId: string,
  organizationId: string,
  passwordHash: string | null,
): void {
  tx.send(
    `update account set verified_at = handoff_now(), organization_id = $2, password_hash = coalesce($3, password_hash)
     where account_id = $1`,
    [accountId, organizationId, passwordHash],
  );
}

/** Stores an account's code; an earlier one is gone. */
export function storeCode(tx: Transaction, accountId: string, codeHmac: Buffer, minutes: number): void {
  tx.send(
    `insert into one_time_code (account_id, code_hmac, expires_at)
     values ($1, $2, handoff_now() + make_interval(mins => $3))
     on conflict (account_id) do update set code_hmac = excluded.code_hmac, expires_at = excluded.expires_at, attempts = 0`,
    [accountId, codeHmac, minutes],
  );
}

/** An account's living code, if it has one. */
export async function readCode(
  tx: Transaction,
  accountId: string,
): Promise<{ readonly codeHmac: Buffer; readonly attempts: number } | null> {
  const [row] = await tx.query<{ codeHmac: Buffer; attempts: number }>(
    `select code_hmac as "codeHmac", attempts from one_time_code where account_id = $1 and expires_at > handoff_now()`,
    [accountId],
  );
  return row ?? null;
}

/** Counts a wrong try of an account's code. */
export function countCodeTry(tx: Transaction, accountId: string): void {
  tx.send('update one_time_code set attempts = attempts + 1 where account_id = $1', [accountId]);
}

/** Takes an account's code away: it worked. */
export function deleteCode(tx: Transaction, accountId: string): void {
  tx.send('delete from one_time_code where account_id = $1', [accountId]);
}
