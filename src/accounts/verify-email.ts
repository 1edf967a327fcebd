import { PLATFORM_ID } from '../domain/ids.ts';
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
 * code works once. A password that comes with it takes the place of the one that the address was registered with; an
 * address that was registered with several needs one.
 *
 * @param call.passwordHash null: there is none, or it is not hashed yet, which only a right code is worth
 * @returns `code_invalid` for a wrong, dead or unknown code; a wrong try is counted, so the transaction must be
 *   committed. `password_wanted` for a right one that lacks the hash; nothing is changed
 */
export async function verifyEmail(
  tx: HandoffTransaction,
  sql: Transaction,
  codes: OneTimeCodes,
  call: {
    readonly email: string;
    readonly code: string;
    readonly bringsPassword: boolean;
    readonly passwordHash: string | null;
    readonly requestId: string;
  },
): Promise<FirstSteps | 'code_invalid' | 'password_wanted'> {
  const account = await findAccount(sql, addressIndex(tx, call.email), 'lock');
  const stored = account === null ? null : await readCode(sql, account.accountId);
  const living = stored !== null && stored.attempts < CODE_TRIES ? stored.codeHmac : null;
  const fits = codes.fits(account?.accountId ?? null, call.code, living);
  if (account === null) return 'code_invalid';
  const { accountId } = account;
  if (!fits) {
    if (living !== null) countCodeTry(sql, accountId);
    return 'code_invalid';
  }
  const { passwordHash } = call;
  if (passwordHash === null && (call.bringsPassword || account.passwordHash === null)) return 'password_wanted';
  const organizationId = tx.newId();
  deleteCode(sql, accountId);
  insertOrganization(sql, organizationId, FIRST_ORGANIZATION);
  markVerified(sql, accountId, organizationId, passwordHash);
  const person = { kind: 'account', id: accountId, requestId: call.requestId } as const;
  const about = { applicationId: PLATFORM_ID, subjectId: accountId };
  tx.events.record(
    [
      { type: 'account.verified', ...about },
      { type: 'organization.created', ...about, subjectId: organizationId, after: { name: FIRST_ORGANIZATION } },
      { type: 'account.logged_in', ...about, reason: 'verified' },
    ],
    person,
  );
  const first = { name: FIRST_APPLICATION, environment: 'sandbox', organizationId } as const;
  const made = provisionApplication(tx, sql, first, person);
  const refresh = newRefreshToken();
  const login = await insertLogin(sql, { loginId: tx.newId(), accountId, refreshSha256: refresh.sha256 });
  return { organizationId, ...made, login, refreshToken: refresh.text };
}
