import type { NewApiKey } from '../accounts/api-keys.ts';
import type { StoredApiKey } from '../accounts/key-checker.ts';
import type { Privileges } from '../accounts/privileges.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Looks a key up by its id, living or not. */
export async function findApiKey(tx: Transaction, keyId: string): Promise<StoredApiKey | null> {
  const [row] = await tx.query<StoredApiKey>(
    `select k.key_id as "keyId", k.application_id as "applicationId", k.secret_sha256 as sha256, k.privileges,
       k.allowed_addresses::text[] as "allowedAddresses", a.deleted_at is not null as "applicationDeleted",
       k.revoked_at is null and (k.expires_at is null or k.expires_at > handoff_now()) as living
     from api_key k join application a using (application_id) where k.key_id = $1`,
    [keyId],
  );
  return row ?? null;
}

/** Stores a new key without its text. `expiresAt` is ISO 8601. */
export function insertApiKey(
  tx: Transaction,
  key: NewApiKey,
  of: {
    applicationId: string;
    name: string;
    privileges: Privileges;
    expiresAt: string | null;
    allowedAddresses: readonly string[];
    createdBy: string | null;
  },
): void {
  tx.send(
    `insert into api_key (key_id, application_id, name, secret_sha256, last_four, privileges, expires_at,
       allowed_addresses, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8::text[]::cidr[], $9)`,
    [
      key.keyId,
      of.applicationId,
      of.name,
      key.sha256,
      key.lastFour,
      JSON.stringify(of.privileges),
      of.expiresAt,
      of.allowedAddresses,
      of.createdBy,
    ],
  );
}

/** Notes that a key was used, unless that was noted less than a minute ago. */
export function noteKeyUse(tx: Transaction, keyId: string): void {
  tx.send(
    `update api_key set last_used_at = handoff_now()
     where key_id = $1 and (last_used_at is null or last_used_at < handoff_now() - interval '55 seconds')`,
    [keyId],
  );
}

/** What is shown of a key. Times are ISO 8601. */
export interface ApiKeyRow {
  readonly keyId: string;
  readonly name: string;
  readonly lastFour: string;
  readonly privileges: Privileges;
  /** Canonical CIDRs. */
  readonly allowedAddresses: readonly string[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
}

const SHOWN = `key_id as "keyId", name, last_four as "lastFour", privileges, allowed_addresses::text[] as "allowedAddresses",
  ${isoColumn('created_at')} as "createdAt", ${isoColumn('expires_at')} as "expiresAt",
  ${isoColumn('last_used_at')} as "lastUsedAt", ${isoColumn('revoked_at')} as "revokedAt"`;

/** An application's keys, the revoked ones too, newest first, and how many there are. */
export async function listApiKeys(
  tx: Transaction,
  applicationId: string,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: ApiKeyRow[] }> {
  const [[counted], rows] = await Promise.all([
    tx.query<{ count: number }>('select count(*)::int as count from api_key where application_id = $1', [
      applicationId,
    ]),
    tx.query<ApiKeyRow>(
      `select ${SHOWN} from api_key where application_id = $1 order by created_at desc, key_id limit $2 offset $3`,
      [applicationId, page.limit, page.offset],
    ),
  ]);
  return { count: counted?.count ?? 0, rows };
}

/** One key of an application. */
export async function readApiKey(tx: Transaction, applicationId: string, keyId: string): Promise<ApiKeyRow | null> {
  const [row] = await tx.query<ApiKeyRow>(`select ${SHOWN} from api_key where application_id = $1 and key_id = $2`, [
    applicationId,
    keyId,
  ]);
  return row ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockApiKey(tx: Transaction, applicationId: string, keyId: string): Promise<ApiKeyRow | null> {
  const [row] = await tx.query<ApiKeyRow>(
    `select ${SHOWN} from api_key where application_id = $1 and key_id = $2 for no key update`,
    [applicationId, keyId],
  );
  return row ?? null;
}

/** Changes a key that is not revoked; an absent member stays as it is. Resolves to the key, null when there is none. */
export async function changeApiKey(
  tx: Transaction,
  applicationId: string,
  keyId: string,
  change: {
    readonly name?: string | undefined;
    readonly privileges?: Privileges | undefined;
    readonly expiresAt?: string | null | undefined;
    readonly allowedAddresses?: readonly string[] | undefined;
  },
): Promise<ApiKeyRow | null> {
  const { name, privileges, expiresAt, allowedAddresses } = change;
  const [row] = await tx.query<ApiKeyRow>(
    `update api_key set name = coalesce($3, name), privileges = coalesce($4, privileges),
       expires_at = case when $5 then $6::timestamptz else expires_at end,
       allowed_addresses = coalesce($7::text[]::cidr[], allowed_addresses)
     where application_id = $1 and key_id = $2 and revoked_at is null returning ${SHOWN}`,
    [
      applicationId,
      keyId,
      name ?? null,
      privileges === undefined ? null : JSON.stringify(privileges),
      expiresAt !== undefined,
      expiresAt ?? null,
      allowedAddresses ?? null,
    ],
  );
  return row ?? null;
}

/** Revokes a key; resolves to false when there is none, or when it is revoked already. */
export async function revokeApiKey(tx: Transaction, applicationId: string, keyId: string): Promise<boolean> {
  const revoked = await tx.query(
    `update api_key set revoked_at = handoff_now()
     where application_id = $1 and key_id = $2 and revoked_at is null returning key_id`,
    [applicationId, keyId],
  );
  return revoked.length === 1;
}

/** Whether a time (ISO 8601) is still to come, by the database's clock. */
export async function isToCome(tx: Transaction, time: string): Promise<boolean> {
  const [row] = await tx.query<{ later: boolean }>('select $1::timestamptz > handoff_now() as later', [time]);
  return row?.later === true;
}
