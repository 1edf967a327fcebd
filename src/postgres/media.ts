import type { DataKey, ReadableMedia, SealedCheck, SessionFile, SessionStore } from '../sharing/ports.ts';
import { dataKeyOf, keyColumn, type StoredKey } from './data-keys.ts';
import type { Transaction } from './tenants.ts';

/** An application's own session. */
interface SessionKey {
  readonly sessionId: string;
  readonly applicationId: string;
}

/** Objects that a reference may follow to within this time; then they are taken away if none did. */
const UNUSED_FOR = `interval '1 hour'`;

/** Writes objects down before they are put. */
export function noteObjects(
  tx: Transaction,
  objects: readonly { readonly objectKey: string; readonly byteLength: number }[],
): void {
  tx.send(
    `insert into media_object (object_key, byte_length, check_at)
     select key, length, handoff_now() + ${UNUSED_FOR} from unnest($1::text[], $2::bigint[]) as o(key, length)`,
    [objects.map(({ objectKey }) => objectKey), objects.map(({ byteLength }) => byteLength)],
  );
}

/** Gives files to a session. Those without an object are with their source still. */
export function insertSessionMedia(tx: Transaction, session: SessionKey, files: readonly SessionFile[]): void {
  if (files.length === 0) return;
  tx.send(
    `insert into session_media (session_id, application_id, media_id, object_key, content_type, byte_length)
     select $1, $2, * from unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[])`,
    [
      session.sessionId,
      session.applicationId,
      files.map(({ mediaId }) => mediaId),
      files.map(({ objectKey }) => objectKey),
      files.map(({ contentType }) => contentType),
      files.map(({ byteLength }) => byteLength),
    ],
  );
}

/** Takes files from a session. */
export function deleteSessionMedia(tx: Transaction, session: SessionKey, mediaIds: readonly string[]): void {
  tx.send('delete from session_media where session_id = $1 and application_id = $2 and media_id = any ($3::uuid[])', [
    session.sessionId,
    session.applicationId,
    mediaIds,
  ]);
}

/** {@link SessionStore.lockCheck} */
export async function lockCheck(
  tx: Transaction,
  session: SessionKey,
  check: { readonly category: string; readonly position: number },
): ReturnType<SessionStore['lockCheck']> {
  const [[locked], checks] = await Promise.all([
    // An import holds a shared lock on its source.
    tx.query<{ key: StoredKey }>(
      `select ${keyColumn('$1')} as key from session where session_id = $1 and application_id = $2 for no key update`,
      [session.sessionId, session.applicationId],
    ),
    tx.query<{ payload: Buffer }>(
      `select with_key(session_id, payload) as payload from session_check
       where session_id = $1 and application_id = $2 and category = $3 and position = $4 for update`,
      [session.sessionId, session.applicationId, check.category, check.position],
    ),
  ]);
  return locked === undefined ? null : { key: dataKeyOf(locked.key), payload: checks[0]?.payload ?? null };
}

/** {@link SessionStore.replaceCheck} */
export function replaceCheck(tx: Transaction, session: SessionKey, check: SealedCheck): void {
  tx.send(
    `update session_check set payload = $5
     where session_id = $1 and application_id = $2 and category = $3 and position = $4`,
    [session.sessionId, session.applicationId, check.category, check.position, check.payload],
  );
  tx.send('update session set updated_at = handoff_now() where session_id = $1 and application_id = $2', [
    session.sessionId,
    session.applicationId,
  ]);
}

/** The files of an application's own session that can be read now. */
export async function readableMedia(tx: Transaction, applicationId: string, sessionId: string): Promise<ReadableMedia> {
  const [row] = await tx.query<ReadableMedia & Record<string, unknown>>(
    `select array(select media_id::text from session_media
         where session_id = $1 and application_id = $2 and object_key is not null) as "mediaIds",
       floor(extract(epoch from handoff_now()))::float8 as "nowSeconds"`,
    [sessionId, applicationId],
  );
  if (row === undefined) throw new Error('a look at the clock has a row');
  return row;
}

/** Has a file that was fetched stand in its session and in all that were cloned of it meanwhile: resolves to these. */
export function settleFetchedMedia(
  tx: Transaction,
  file: SessionFile,
): Promise<{ readonly applicationId: string; readonly sessionId: string }[]> {
  return tx.query(
    `update session_media set object_key = $2, content_type = $3, byte_length = $4
     where media_id = $1 and object_key is null
     returning application_id as "applicationId", session_id as "sessionId"`,
    [file.mediaId, file.objectKey, file.contentType, file.byteLength],
  );
}

/** Does what {@link settleFetchedMedia} could not see: clones that were being written at that moment. */
export function settleLateClones(tx: Transaction): void {
  tx.send(
    `update session_media late
     set object_key = known.object_key, content_type = known.content_type, byte_length = known.byte_length
     from session_media known
     where late.object_key is null and known.media_id = late.media_id and known.object_key is not null`,
  );
}

/** A file of a session as a link's reader finds it. */
export interface LinkedFile {
  /** By the database's clock. */
  readonly expired: boolean;
  /** Seconds that the link lives on. */
  readonly remainingSeconds: number;
  /** Null when this session of this living application has no such file. */
  readonly file: SessionFile | null;
  /** What its session's files are sealed with; null with the file. */
  readonly key: DataKey | null;
}

/**
 * What a link leads to.
 *
 * @param expires Unix seconds
 */
export async function readLinkedFile(
  tx: Transaction,
  link: {
    readonly applicationId: string;
    readonly sessionId: string;
    readonly mediaId: string;
    readonly expires: number;
  },
): Promise<LinkedFile> {
  const [row] = await tx.query<SessionFile & { remaining: number; key: StoredKey }>(
    `select floor($4::float8 - extract(epoch from handoff_now()))::float8 as remaining, ${FILE_COLUMNS},
       ${keyColumn('m.session_id')} as key
     from (select 1) one left join (session_media m join application a using (application_id))
       on m.session_id = $1 and m.application_id = $2 and m.media_id = $3 and a.deleted_at is null`,
    [link.sessionId, link.applicationId, link.mediaId, link.expires],
  );
  if (row === undefined) throw new Error('a look at the clock has a row');
  const { remaining, key, ...file } = row;
  return {
    expired: remaining < 0,
    remainingSeconds: remaining,
    file: file.mediaId === null ? null : file,
    key: key === null ? null : dataKeyOf(key),
  };
}

/** A file of an application's own session; null when it has none such. */
export async function readSessionFile(
  tx: Transaction,
  session: SessionKey,
  mediaId: string,
): Promise<SessionFile | null> {
  const [file] = await tx.query<SessionFile & Record<string, unknown>>(
    `select ${FILE_COLUMNS} from session_media m where m.session_id = $1 and m.application_id = $2 and m.media_id = $3`,
    [session.sessionId, session.applicationId, mediaId],
  );
  return file ?? null;
}

const FILE_COLUMNS = `m.media_id as "mediaId", m.object_key as "objectKey", m.content_type as "contentType",
  m.byte_length::float8 as "byteLength"`;

/** What a look at one object came to. */
export type Swept = 'nothing to look at' | 'looked' | { readonly failed: unknown };

/**
 * Takes one object away that no session refers to, if one is to be looked at; its row stays locked meanwhile, so that
 * whoever gives it to a session waits, and is refused then.
 *
 * @param remove takes the bytes from the store
 */
export async function sweepOneObject(tx: Transaction, remove: (objectKey: string) => Promise<void>): Promise<Swept> {
  const [object] = await tx.query<{ key: string }>(
    `select object_key as key from media_object where check_at <= handoff_now()
     order by check_at limit 1 for update skip locked`,
  );
  if (object === undefined) return 'nothing to look at';
  // A statement of its own: it sees what was committed before the lock was had.
  const [used] = await tx.query(`select 1 from session_media where object_key = $1 limit 1`, [object.key]);
  if (used !== undefined) {
    tx.send('update media_object set check_at = null where object_key = $1', [object.key]);
    return 'looked';
  }
  try {
    await remove(object.key);
  } catch (failed) {
    tx.send(`update media_object set check_at = handoff_now() + interval '10 minutes' where object_key = $1`, [
      object.key,
    ]);
    return { failed };
  }
  tx.send('delete from media_object where object_key = $1', [object.key]);
  return 'looked';
}
