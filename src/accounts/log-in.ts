import type { Actor } from '../domain/events.ts';
import { PLATFORM_ID } from '../domain/ids.ts';
import { findAccount, type AccountRow } from '../postgres/accounts.ts';
import { countLogin, forgiveLogins, lockEmailThrottle, settleLock } from '../postgres/email-throttle.ts';
import type { HandoffTenants } from '../postgres/handoff-tenants.ts';
import { addressIndex } from './addresses.ts';
import { lockSeconds } from './lock-out.ts';
import type { Passwords } from './passwords.ts';

/** How a password was judged. */
export type PasswordAnswer =
  | { readonly state: 'right'; readonly account: AccountRow }
  | { readonly state: 'wrong' }
  /** As many tries as are left are being checked: whether they lock the address is not known yet. */
  | { readonly state: 'busy' }
  | { readonly state: 'locked'; readonly retryAfterSeconds: number };

/**
 * Checks a password. A try is counted before the password is looked at, so that many at once are no more tries than
 * one by one; a right password takes the count back. So the last try that is left holds up all after it until it is
 * checked, and locks the address when it is wrong. An address without an account, or that
 * is not proven yet, is counted, locked and worked for in the same way: whoever registers addresses to try them learns
 * of none.
 *
 * @throws {Refusal} `service_unavailable` while too many passwords wait to be checked
 */
export async function checkPassword(
  tenants: HandoffTenants,
  passwords: Passwords,
  call: { readonly email: string; readonly password: string },
  actor: Actor,
): Promise<PasswordAnswer> {
  passwords.refuseWhenBusy();
  const asked = await tenants.acrossTenants('account', async (tx, sql) => {
    const emailIndex = addressIndex(tx, call.email);
    const throttle = await lockEmailThrottle(sql, emailIndex, 0);
    const { lockedSeconds, lockIsChecked } = throttle;
    if (lockedSeconds > 0) {
      return lockIsChecked
        ? ({ state: 'busy' } as const)
        : ({ state: 'locked', retryAfterSeconds: lockedSeconds } as const);
    }
    const failures = throttle.failedLogins + 1;
    const seconds = lockSeconds(failures);
    countLogin(sql, emailIndex, failures, seconds);
    return { state: 'free', emailIndex, locks: seconds !== null, account: await findAccount(sql, emailIndex) } as const;
  });
  if (asked.state !== 'free') return asked;
  const { account, emailIndex } = asked;
  let right = false;
  try {
    const fits = await passwords.check(call.password, account?.passwordHash ?? null);
    right = fits && account !== null && account.organizationId !== null;
  } finally {
    if (right || asked.locks) {
      await tenants.acrossTenants('account', async (tx, sql) => {
        if (right) return forgiveLogins(sql, emailIndex);
        // Of an address without an account, too: both take the same work.
        const subjectId = account?.accountId ?? tx.newId();
        tx.events.record([{ type: 'account.locked', applicationId: PLATFORM_ID, subjectId }], actor);
        settleLock(sql, emailIndex);
      });
    }
  }
  return right && account !== null ? { state: 'right', account } : { state: 'wrong' };
}
