import { findAccount, type AccountRow } from '../postgres/accounts.ts';
import { countLogin, forgiveLogins, lockEmailThrottle } from '../postgres/email-throttle.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { addressIndex } from './addresses.ts';
import { lockSeconds } from './lock-out.ts';
import type { Passwords } from './passwords.ts';

/** How a password was judged. */
export type PasswordAnswer =
  | { readonly state: 'right'; readonly account: AccountRow }
  | { readonly state: 'wrong' }
  | { readonly state: 'locked'; readonly retryAfterSeconds: number };

/**
 * Checks a password. A try is counted before the password is looked at, so that many at once are no more tries than
 * one by one; a right password takes the count back. An address without an account is counted, locked and worked for
 * in the same way.
 *
 * @throws {Refusal} `service_unavailable` while too many passwords wait to be checked
 */
export async function checkPassword(
  tenants: HandoffTenants,
  passwords: Passwords,
  call: { readonly email: string; readonly password: string },
): Promise<PasswordAnswer> {
  passwords.refuseWhenBusy();
  const asked = await tenants.acrossTenants('account', async (tx, sql) => {
    const emailIndex = addressIndex(tx, call.email);
    const throttle = await lockEmailThrottle(sql, emailIndex, 0);
    if (throttle.lockedSeconds > 0) return { emailIndex, lockedSeconds: throttle.lockedSeconds, account: null };
    const failures = throttle.failedLogins + 1;
    countLogin(sql, emailIndex, failures, lockSeconds(failures));
    return { emailIndex, lockedSeconds: 0, account: await findAccount(sql, emailIndex) };
  });
  if (asked.lockedSeconds > 0) return { state: 'locked', retryAfterSeconds: asked.lockedSeconds };
  const right = await passwords.check(call.password, asked.account?.passwordHash ?? null);
  if (!right || asked.account === null) return { state: 'wrong' };
  await tenants.acrossTenants('account', async (_tx, sql) => forgiveLogins(sql, asked.emailIndex));
  return { state: 'right', account: asked.account };
}
