import type { Transaction } from './tenants.ts';

/** Days that a login lives, however often it is refreshed. */
const LOGIN_DAYS = 30;

/** A login, at the time of an access token's making. */
export interface LoginRow {
  readonly loginId: string;
  readonly accountId: string;
  /** Unix seconds, whole, by the database's clock. */
  readonly now: number;
}

/** Who is calling: a person who is logged in. */
export interface LoggedIn {
  readonly accountId: string;
  readonly loginId: string;
  readonly organizationId: string;
  /** The account's address, sealed. */
  readonly email: Buffer;
}

const NOW = `floor(extract(epoch from handoff_now()))::float8 as now`;

/** Writes a login with its first refresh token; the account's dead logins are taken away. */
export async function insertLogin(
  tx: Transaction,
  login: { readonly loginId: string; readonly accountId: string; readonly refreshSha256: Buffer },
): Promise<LoginRow> {
  const { loginId, accountId } = login;
  tx.send('delete from login where account_id = $1 and expires_at <= handoff_now()', [accountId]);
  const inserted = tx.query<{ now: number }>(
    `insert into login (login_id, account_id, expires_at) values ($1, $2, handoff_now() + make_interval(days => $3))
     returning ${NOW}`,
    [loginId, accountId, LOGIN_DAYS],
  );
  insertRefreshToken(tx, loginId, login.refreshSha256);
  const [row] = await inserted;
  if (row === undefined) throw new Error('a login that is inserted is returned');
  return { loginId, accountId, now: row.now };
}

/**
 * Uses a refresh token up and stores the next one of its login.
 *
 * @returns null when it was used before, when its login has ended, and for an unknown one
 */
export async function rotateRefreshToken(
  tx: Transaction,
  sha256: Buffer,
  nextSha256: Buffer,
): Promise<LoginRow | null> {
  const [row] = await tx.query<LoginRow>(
    `update refresh_token t set used_at = handoff_now() from login l
     where t.token_sha256 = $1 and t.used_at is null and l.login_id = t.login_id and l.revoked_at is null
       and l.expires_at > handoff_now()
     returning l.login_id as "loginId", l.account_id as "accountId", ${NOW}`,
    [sha256],
  );
  if (row === undefined) return null;
  insertRefreshToken(tx, row.loginId, nextSha256);
  return row;
}

/**
 * Ends the login of a refresh token that was used before: two hold it, and one of them is a thief.
 *
 * @returns the account whose login it was; null when none was ended
 */
export async function endLoginOfUsedToken(tx: Transaction, sha256: Buffer): Promise<string | null> {
  const [row] = await tx.query<{ accountId: string }>(
    `update login set revoked_at = handoff_now() where revoked_at is null and login_id =
       (select login_id from refresh_token where token_sha256 = $1 and used_at is not null)
     returning account_id as "accountId"`,
    [sha256],
  );
  return row?.accountId ?? null;
}

/** Ends a login: its access and refresh tokens are dead from the commit on. */
export function endLogin(tx: Transaction, loginId: string): void {
  tx.send('update login set revoked_at = handoff_now() where login_id = $1 and revoked_at is null', [loginId]);
}

/** The login of an access token, while it lives and the token has not expired. */
export async function findLogin(
  tx: Transaction,
  token: { readonly loginId: string; readonly accountId: string; readonly expiresAt: number },
): Promise<LoggedIn | null> {
  const [row] = await tx.query<LoggedIn>(
    `select l.login_id as "loginId", l.account_id as "accountId", a.organization_id as "organizationId", a.email
     from login l join account a using (account_id)
     where l.login_id = $1 and l.account_id = $2 and l.revoked_at is null and l.expires_at > handoff_now()
       and to_timestamp($3) > handoff_now() and a.organization_id is not null`,
    [token.loginId, token.accountId, token.expiresAt],
  );
  return row ?? null;
}

function insertRefreshToken(tx: Transaction, loginId: string, sha256: Buffer): void {
  tx.send('insert into refresh_token (token_sha256, login_id) values ($1, $2)', [sha256, loginId]);
}
