import type { Sealer } from '../../crypto/payload-seal.ts';
import type { MediaStore } from '../../media/ports.ts';
import { storeFiles } from '../../media/store-files.ts';
import type { FileType } from '../../media/file-types.ts';
import type { KeyedSession, SealContext, SessionFile } from '../../sharing/ports.ts';
import { homeContext } from '../../sharing/store-content.ts';
import { linkContext } from '../media-fetches.ts';
import type { HandoffTenants } from '../handoff-tenants.ts';
import type { Tenants, Transaction } from '../tenants.ts';
import type { UnreadableRow } from './rewrap-columns.ts';

/** What giving keys to sessions needs. */
export interface AdoptionParts {
  readonly tenants: Tenants;
  readonly handoff: Pick<HandoffTenants, 'acrossTenants' | 'sealer'>;
  readonly sealer: Sealer;
  readonly media: MediaStore;
}

/** Sessions that are looked for at a time. */
const PAGE = 100;

const PLAIN = 0x00;
const KEYLESS = 'not exists (select 1 from session_key k where k.session_id = s.session_id)';

/** Sessions of before there was encryption: they have no data key. */
export async function countKeyless(tx: Transaction): Promise<number> {
  tx.send('set local statement_timeout = 0');
  const [row] = await tx.query<{ rows: number }>(`select count(*)::float8 as rows from session s where ${KEYLESS}`);
  return row?.rows ?? 0;
}

/**
 * Gives every session of before there was encryption a data key, and seals its content, its files and the links to those
 * that are still with their source. A session is done as a whole or not at all.
 */
export async function adoptPlainSessions(
  parts: AdoptionParts,
  onSession: () => void,
): Promise<{ readonly adopted: number; readonly unreadable: readonly UnreadableRow[] }> {
  let adopted = 0;
  const unreadable: UnreadableRow[] = [];
  for (let after: string | undefined = '00000000-0000-0000-0000-000000000000'; after !== undefined;) {
    const from: string = after;
    const page = await parts.tenants.acrossTenants('keys', (tx) => {
      tx.send('set local statement_timeout = 0');
      return tx.query<{ sessionId: string; applicationId: string }>(
        `select session_id as "sessionId", application_id as "applicationId" from session s
         where session_id > $1 and ${KEYLESS} order by session_id limit ${PAGE}`,
        [from],
      );
    });
    for (const session of page) {
      try {
        if (!(await adopt(parts, { ...session, key: parts.sealer.newDataKey(session) }))) continue;
        adopted += 1;
        onSession();
      } catch (error) {
        if (!(error instanceof NotPlain)) throw error;
        unreadable.push({ table: 'session', column: 'data key', id: session.sessionId });
      }
    }
    after = page.length === PAGE ? page.at(-1)?.sessionId : undefined;
  }
  return { adopted, unreadable };
}

/** What should be plain is not: no key is there that could open it. */
class NotPlain extends Error {}

interface PlainFile {
  readonly mediaId: string;
  readonly objectKey: string;
  readonly contentType: FileType;
}

const FILES = `select media_id as "mediaId", object_key as "objectKey", content_type as "contentType" from session_media
  where session_id = $1 and object_key is not null order by media_id`;

/** Resolves to whether it was done: not when it is gone, is locked, or was changed meanwhile. */
async function adopt({ tenants, handoff, media }: AdoptionParts, session: KeyedSession): Promise<boolean> {
  const { sessionId } = session;
  const files = await tenants.acrossTenants('keys', (tx) =>
    tx.query<PlainFile & Record<string, unknown>>(FILES, [sessionId]),
  );
  const plain = [];
  for (const { mediaId, objectKey, contentType } of files) {
    const stored = await media.get(objectKey);
    // One that the store has lost stays as it is, for whoever brings it back.
    if (stored !== null) plain.push({ session, mediaId, contentType, bytes: plainOf(stored) });
  }
  const sealedFiles = await storeFiles({ tenants: handoff, media }, plain);
  return tenants.acrossTenants('keys', async (tx) => {
    const [locked] = await tx.query(
      `select 1 from session s where session_id = $1 and ${KEYLESS} for no key update skip locked`,
      [sessionId],
    );
    const now = await tx.query<PlainFile & Record<string, unknown>>(FILES, [sessionId]);
    if (locked === undefined || JSON.stringify(now) !== JSON.stringify(files)) return false;
    tx.send('insert into session_key (session_id, application_id, key_id, wrapped) values ($1, $2, $3, $4)', [
      sessionId,
      session.applicationId,
      session.key.keyId,
      session.key.wrapped,
    ]);
    await sealContent(tx, handoff.sealer, session);
    putFiles(tx, sessionId, sealedFiles);
    return true;
  });
}

async function sealContent(tx: Transaction, sealer: HandoffTenants['sealer'], session: KeyedSession): Promise<void> {
  const { applicationId, sessionId, key } = session;
  const seal = (context: SealContext, payload: Buffer) => sealer.sealBytes(context, plainOf(payload), key);
  for (const table of ['session_check', 'session_home'] as const) {
    const rows = await tx.query<{ category: string; position: number; payload: Buffer }>(
      `select category, position, payload from ${table} where session_id = $1 for no key update`,
      [sessionId],
    );
    const contextOf = (category: string, position: number): SealContext =>
      table === 'session_home'
        ? homeContext(session, category, position)
        : { applicationId, sessionId, category, position };
    tx.send(
      `update ${table} t set payload = anew.payload
       from unnest($2::text[], $3::int[], $4::bytea[]) as anew(category, position, payload)
       where t.session_id = $1 and t.category = anew.category and t.position = anew.position`,
      [
        sessionId,
        rows.map(({ category }) => category),
        rows.map(({ position }) => position),
        rows.map(({ category, position, payload }) => seal(contextOf(category, position), payload)),
      ],
    );
  }
  const links = await tx.query<{ mediaId: string; url: Buffer }>(
    `select media_id as "mediaId", url from media_fetch where session_id = $1 and url <> '' for no key update`,
    [sessionId],
  );
  tx.send(
    `update media_fetch f set url = anew.url from unnest($1::uuid[], $2::bytea[]) as anew(media_id, url)
     where f.media_id = anew.media_id`,
    [links.map(({ mediaId }) => mediaId), links.map(({ mediaId, url }) => seal(linkContext(session, mediaId), url))],
  );
}

function putFiles(tx: Transaction, sessionId: string, files: readonly SessionFile[]): void {
  // What nobody refers to any more is looked at soon.
  tx.send(
    `with former as (
       select object_key from session_media where session_id = $1 and media_id = any ($2::uuid[]))
     update media_object set check_at = handoff_now() + interval '1 minute' where object_key in (select object_key from former)`,
    [sessionId, files.map(({ mediaId }) => mediaId)],
  );
  tx.send(
    `update session_media m set object_key = anew.object_key
     from unnest($2::uuid[], $3::text[]) as anew(media_id, object_key)
     where m.session_id = $1 and m.media_id = anew.media_id`,
    [sessionId, files.map(({ mediaId }) => mediaId), files.map(({ objectKey }) => objectKey)],
  );
}

function plainOf(stored: Buffer): Buffer {
  if (stored[0] !== PLAIN) throw new NotPlain();
  return stored.subarray(1);
}
