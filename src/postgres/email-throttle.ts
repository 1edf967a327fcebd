import type { Transaction } from './tenants.ts';

/** How an address stands, by the database's clock; its row is locked until the commit. */
export interface EmailThrottle {
  /** Failed logins in a row. */
  readonly failedLogins: number;
  /** Whole seconds that logins stay locked; 0 when they are not. */
  readonly lockedSeconds: number;
  /** The try that locked is being checked: the lock goes if it is right. */
  readonly lockIsChecked: boolean;
  /** Whole seconds until the next mail may go out; 0 when it may now. */
  readonly mailWaitSeconds: number;
}

/** Locks an address's row, made when missing, and reads it. Accounts and their codes are locked after it, never before. */
export async function lockEmailThrottle(
  tx: Transaction,
  emailIndex: Buffer,
  cooldownSeconds: number,
): Promise<EmailThrottle> {
  // `greatest` passes over null: a time that never was.
  const [row] = await tx.query<EmailThrottle>(
    `insert into email_throttle as stored (email_index) values ($1)
     on conflict (email_index) do update set touched_at = handoff_now()
     returning failed_logins as "failedLogins",
       greatest(0, ceil(extract(epoch from locked_until - handoff_now())))::float8 as "lockedSeconds",
       coalesce(lock_checked_until > handoff_now(), false) as "lockIsChecked",
       greatest(0, ceil(extract(epoch from mailed_at - handoff_now()) + $2))::float8 as "mailWaitSeconds"`,
    [emailIndex, cooldownSeconds],
  );
  if (row === undefined) throw new Error('a row that is inserted or updated is returned');
  return row;
}

/** Begins the time until the next mail. */
export function noteMail(tx: Transaction, emailIndex: Buffer): void {
  tx.send('update email_throttle set mailed_at = handoff_now() where email_index = $1', [emailIndex]);
}

// More than any check takes: one whose process died is taken for wrong.
const CHECK_SECONDS = 60;

/** Counts a login before its password is checked; a right one takes all counts back, a wrong one settles its lock. */
export function countLogin(tx: Transaction, emailIndex: Buffer, failures: number, lockSeconds: number | null): void {
  tx.send(
    `update email_throttle set failed_logins = $2, locked_until = handoff_now() + make_interval(secs => $3),
       lock_checked_until = case when $3::float8 is not null then handoff_now() + make_interval(secs => $4) end
     where email_index = $1`,
    [emailIndex, failures, lockSeconds, CHECK_SECONDS],
  );
}

/** The try that locked an address was wrong: the lock stays. */
export function settleLock(tx: Transaction, emailIndex: Buffer): void {
  tx.send('update email_throttle set lock_checked_until = null where email_index = $1', [emailIndex]);
}

/** Forgets an address's failed logins. */
export function forgiveLogins(tx: Transaction, emailIndex: Buffer): void {
  tx.send(
    'update email_throttle set failed_logins = 0, locked_until = null, lock_checked_until = null where email_index = $1',
    [emailIndex],
  );
}

/** Takes away what nobody touched for a week: every lock is over by then. */
export function forgetEmailThrottles(tx: Transaction): void {
  tx.send(`delete from email_throttle where touched_at < handoff_now() - interval '7 days'`);
}
