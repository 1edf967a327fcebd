import { FINISHED_STATUSES } from '../domain/session-status.ts';
import { DataKeyMissing } from '../sharing/data-key-missing.ts';
import type { CloneOrder, DataKey, NewSession, SessionDataKey } from '../sharing/ports.ts';
import type { Transaction } from './tenants.ts';

const DELETE_HELD = `delete from token_key k using held where k.token_id = held.token_id and k.session_id = held.session_id`;

/** Select expression of a session's data key as {@link StoredKey}; null without one. */
export function keyColumn(sessionId: string): string {
  return `(select json_build_object('keyId', own_key.key_id, 'wrapped', encode(own_key.wrapped, 'base64'))
    from session_key own_key where own_key.session_id = ${sessionId})`;
}

/**
 * The data key of an application's own session; null when it has no such session.
 *
 * @throws {DataKeyMissing}
 */
export async function readDataKey(tx: Transaction, applicationId: string, sessionId: string): Promise<DataKey | null> {
  const [key] = await tx.query<{ [member in keyof DataKey]: DataKey[member] | null }>(
    `select k.key_id as "keyId", k.wrapped from session s left join session_key k using (session_id, application_id)
     where session_id = $1 and application_id = $2`,
    [sessionId, applicationId],
  );
  if (key === undefined) return null;
  const { keyId, wrapped } = key;
  if (keyId === null || wrapped === null) throw new DataKeyMissing(sessionId);
  return { keyId, wrapped };
}

/** What {@link keyColumn} selects. */
export type StoredKey = { readonly keyId: string; readonly wrapped: string } | null;

/** The data key of a session that is locked. */
export function dataKeyOf(stored: StoredKey): DataKey {
  if (stored === null) throw new Error('a session has a data key');
  return { keyId: stored.keyId, wrapped: Buffer.from(stored.wrapped, 'base64') };
}

/** Writes the data keys of new sessions of one application. */
export function insertSessionKeys(tx: Transaction, applicationId: string, sessions: readonly NewSession[]): void {
  tx.send(
    `insert into session_key (application_id, session_id, key_id, wrapped)
     select $1, * from unnest($2::uuid[], $3::uuid[], $4::bytea[])`,
    [
      applicationId,
      sessions.map(({ session }) => session.sessionId),
      sessions.map(({ content }) => content.key.keyId),
      sessions.map(({ content }) => content.key.wrapped),
    ],
  );
}

/** {@link SessionStore.keysToShare} */
export async function keysToShare(tx: Transaction, sessionId: string, issuerId: string): Promise<SessionDataKey[]> {
  const rows = await tx.query<{ sessionId: string } & DataKey>(
    `select k.session_id as "sessionId", k.key_id as "keyId", k.wrapped
     from (
       select $1::uuid as session_id
       union
       select p.session_id
       -- An array, so that people are found by their ids: joined, all sessions of the application may be read.
       from session s join session p on p.session_id = any (
         array(select person_session_id from session_person_found where session_id = $1))
       where s.session_id = $1 and s.application_id = $2 and p.application_id = $2 and p.environment = s.environment
         and p.status = any ($3)
     ) shared join session_key k on k.session_id = shared.session_id and k.application_id = $2`,
    [sessionId, issuerId, FINISHED_STATUSES],
  );
  return rows.map(({ sessionId: of, ...key }) => ({ sessionId: of, key }));
}

/** {@link ShareStore.insertKeys} */
export function insertTokenKeys(
  tx: Transaction,
  tokenId: string,
  expiresAt: number,
  keys: readonly SessionDataKey[],
): void {
  // The order of the locks is an import's: the source, then its people by their ids.
  tx.send(
    `with held as (
       select s.session_id from session s join share_token t on t.token_id = $1 where s.session_id = any ($3::uuid[])
       order by s.session_id <> t.session_id, s.session_id for key share of s)
     insert into token_key (token_id, expires_at, session_id, key_id, wrapped)
     select $1, to_timestamp($2), * from unnest($3::uuid[], $4::uuid[], $5::bytea[]) as k(session_id, key_id, wrapped)
     where k.session_id in (select session_id from held)
     on conflict (token_id, session_id) do nothing`,
    [
      tokenId,
      expiresAt,
      keys.map(({ sessionId }) => sessionId),
      keys.map(({ key }) => key.keyId),
      keys.map(({ key }) => key.wrapped),
    ],
  );
}

/** Has a token's keys become those of the clones. Resolves to whether every clone got one. */
export async function moveKeysToClones(tx: Transaction, { tokenId, partnerId, sources }: CloneOrder): Promise<boolean> {
  const moved = await tx.query(
    `with ${keysInOrder('token_id = $1')}, spent as (
       ${DELETE_HELD} returning k.*)
     insert into session_key (session_id, application_id, key_id, wrapped)
     select pair.clone_id, $2::uuid, spent.key_id, spent.wrapped
     from spent join unnest($3::uuid[], $4::uuid[]) as pair(source_id, clone_id) on pair.source_id = spent.session_id
     returning session_id`,
    [tokenId, partnerId, sources.map(({ from }) => from.sessionId), sources.map(({ to }) => to.sessionId)],
  );
  return moved.length === sources.length;
}

/** Takes away what a token holds. */
export function forgetTokenKeys(tx: Transaction, tokenId: string): void {
  forgetKeys(tx, 'token_id = $1', [tokenId]);
}

/** Takes away what tokens hold of sessions that are locked for their deletion. */
export function forgetKeysOfSessions(tx: Transaction, sessionIds: readonly string[]): void {
  forgetKeys(tx, 'session_id = any ($1::uuid[])', [sessionIds]);
}

/** Takes away what expired tokens hold, but for those whose import an acknowledgement still waits for. */
export function forgetExpiredKeys(tx: Transaction): void {
  tx.send(
    `with held as (
       select k.token_id, k.session_id from token_key k
       where k.expires_at < handoff_now() - interval '1 minute' and not exists (
         select 1 from acknowledgement a where a.token_id = k.token_id and a.state = 'unspent')
       order by k.expires_at limit 10000 for update skip locked)
     ${DELETE_HELD}`,
  );
}

function forgetKeys(tx: Transaction, where: string, values: readonly unknown[]): void {
  tx.send(`with ${keysInOrder(where)} ${DELETE_HELD}`, values);
}

/** Locked in one order everywhere: the end of a token and the deletion of its sessions meet here. */
function keysInOrder(where: string): string {
  return `held as (
    select token_id, session_id from token_key where ${where} order by token_id, session_id for update)`;
}
