import { countCodeTry, deleteCode, findAccount, markVerified, readCode } from '../postgres/accounts.ts';
import { insertLogin, type LoginRow } from '../postgres/logins.ts';
import { insertOrganization } from '../postgres/organizations.ts';
import type { Transaction } from '../postgres/tenants.ts';
import type { HandoffTransaction } from '../sharing/ports.ts';
import { addressIndex } from './addresses.ts';
import { provisionApplication } from './applications.ts';
import { CODE_TRIES, type OneTimeCodes } from './one-time-codes.ts';
import { newRefreshToken } from './refresh-tokens.ts';

const FIRST_ORGANIZATION = 'My organization';
const FIRST_APPLICATION = 'My application';

/** What a proven address begins with. */
export interface FirstSteps {
  readonly organizationId: string;
  readonly applicationId: string;
  /** Shown this once. */
  readonly apiKey: string;
  readonly login: LoginRow;
  readonly refreshToken: string;
}

/**
 * Proves an address by its code: makes the organization, a sandbox application with all that it needs, and a login. A
 * code works once.
 *
 * @returns null for a wrong, dead or unknown one; a wrong try is counted, so the transaction must be committed
 */
export async function verifyEmail(
  tx: HandoffTransaction,
  sql: Transaction,
  codes: OneTimeCodes,
  call: { readonly email: string; readonly code: string },
): Promise<FirstSteps | null> {
  const account = await findAccount(sql, addressIndex(tx, call.email), 'lock');
  const stored = account === null ? null : await readCode(sql, account.accountId);
  const living = stored !== null && stored.attempts < CODE_TRIES ? stored.codeHmac : null;
  const fits = codes.fits(account?.accountId ?? null, call.code, living);
  if (account === null) return null;
  if (!fits) {
    if (living !== null) countCodeTry(sql, account.accountId);
    return null;
  }
  const { accountId } = account;
  const organizationId = tx.newId();
  deleteCode(sql, accountId);
  insertOrganization(sql, organizationId, FIRST_ORGANIZATION);
  markVerified(sql, accountId, organizationId);
  const made = provisionApplication(
    sql,
    { name: FIRST_APPLICATION, environment: 'sandbox', organizationId },
    accountId,
  );
  const refresh = newRefreshToken();
  const login = await insertLogin(sql, { loginId: tx.newId(), accountId, refreshSha256: refresh.sha256 });
  return { organizationId, ...made, login, refreshToken: refresh.text };
}
