import type { Transaction } from './tenants.ts';

/** How an address stands, by the database's clock; its row is locked until the commit. */
export interface EmailThrottle {
  /** Failed logins in a row. */
  readonly failedLogins: number;
  /** Whole seconds that logins stay locked; 0 when they are not. */
  readonly lockedSeconds: number;
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

/** Counts a login before its password is checked; a right one takes all counts back. */
export function countLogin(tx: Transaction, emailIndex: Buffer, failures: number, lockSeconds: number | null): void {
  tx.send(
    `update email_throttle set failed_logins = $2, locked_until = handoff_now() + make_interval(secs => $3)
     where email_index = $1`,
    [emailIndex, failures, lockSeconds],
  );
}

/** Forgets an address's failed logins. */
export function forgiveLogins(tx: Transaction, emailIndex: Buffer): void {
  tx.send('update email_throttle set failed_logins = 0, locked_until = null where email_index = $1', [emailIndex]);
}

/** Takes away what nobody touched for a week: every lock is over by then. */
export function forgetEmailThrottles(tx: Transaction): void {
  tx.send(`delete from email_throttle where touched_at < handoff_now() - interval '7 days'`);
}
