import type { Actor } from '../domain/events.ts';
import { PLATFORM_ID } from '../domain/ids.ts';
import { dropPassword, findAccount, insertAccount, storeCode } from '../postgres/accounts.ts';
import { lockEmailThrottle, noteMail } from '../postgres/email-throttle.ts';
import type { Transaction } from '../postgres/tenants.ts';
import type { HandoffTransaction } from '../sharing/ports.ts';
import { addressIndex, sealAddress } from './addresses.ts';
import { CODE_MINUTES, MAIL_COOLDOWN_SECONDS, type OneTimeCodes } from './one-time-codes.ts';

/** A mail that goes out once the transaction is committed. `to` is in clear and must not be logged. */
export type Mail =
  | { readonly kind: 'code'; readonly to: string; readonly code: string }
  | { readonly kind: 'already_registered'; readonly to: string };

/**
 * Registers an address. One that waits for its proof and comes with another password keeps none: who registered it first
 * need not be who reads its mail, so the proof has to bring the password. One that has an account is told so by mail. The
 * caller learns neither, and a mail goes out once a minute at most.
 *
 * @param of.passwordHash made with the address's own salt, before the transaction, which it must not hold up
 * @returns the account's id and the mail to send, if any
 */
export async function registerAccount(
  tx: HandoffTransaction,
  sql: Transaction,
  codes: OneTimeCodes,
  of: { readonly email: string; readonly passwordHash: string },
  actor: Actor,
): Promise<{ accountId: string; mail: Mail | null }> {
  const emailIndex = addressIndex(tx, of.email);
  const { mailWaitSeconds } = await lockEmailThrottle(sql, emailIndex, MAIL_COOLDOWN_SECONDS);
  const known = await findAccount(sql, emailIndex, 'lock');
  const accountId = known?.accountId ?? tx.newId();
  if (known === null) {
    const email = sealAddress(tx, accountId, of.email);
    insertAccount(sql, { accountId, emailIndex, email, passwordHash: of.passwordHash });
    tx.events.record([{ type: 'account.registered', ...about(accountId) }], actor);
  } else {
    if (known.passwordHash !== of.passwordHash) {
      dropPassword(sql, accountId);
      const drops = known.organizationId === null && known.passwordHash !== null;
      if (drops) tx.events.record([{ type: 'account.contested', ...about(accountId) }], actor);
    }
    if (mailWaitSeconds > 0) return { accountId, mail: null };
  }
  noteMail(sql, emailIndex);
  if (known !== null && known.organizationId !== null) {
    return { accountId, mail: { kind: 'already_registered', to: of.email } };
  }
  if (known !== null) tx.events.record([{ type: 'account.code_sent', ...about(accountId) }], actor);
  return { accountId, mail: newCode(sql, codes, accountId, of.email) };
}

/**
 * Makes a new code for an address that waits for its proof; the earlier one is dead.
 *
 * @returns the mail to send, null for an address that waits for none; or how many seconds it is too early, whether the
 *   address has an account or not
 */
export async function renewCode(
  tx: HandoffTransaction,
  sql: Transaction,
  codes: OneTimeCodes,
  email: string,
  actor: Actor,
): Promise<{ readonly mail: Mail | null } | { readonly waitSeconds: number }> {
  const emailIndex = addressIndex(tx, email);
  const { mailWaitSeconds } = await lockEmailThrottle(sql, emailIndex, MAIL_COOLDOWN_SECONDS);
  if (mailWaitSeconds > 0) return { waitSeconds: mailWaitSeconds };
  noteMail(sql, emailIndex);
  const account = await findAccount(sql, emailIndex, 'lock');
  if (account === null || account.organizationId !== null) return { mail: null };
  tx.events.record([{ type: 'account.code_sent', ...about(account.accountId) }], actor);
  return { mail: newCode(sql, codes, account.accountId, email) };
}

/** People belong to no application: what becomes of them stands in the platform's trail. */
function about(accountId: string) {
  return { applicationId: PLATFORM_ID, subjectId: accountId };
}

function newCode(sql: Transaction, codes: OneTimeCodes, accountId: string, to: string): Mail {
  const code = codes.make();
  storeCode(sql, accountId, codes.hmac(accountId, code), CODE_MINUTES);
  return { kind: 'code', to, code };
}
