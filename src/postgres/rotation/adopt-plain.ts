import type { Sealer } from '../../crypto/payload-seal.ts';
import type { Actor } from '../../domain/events.ts';
import { PLATFORM_ID } from '../../domain/ids.ts';
import type { MediaStore } from '../../media/ports.ts';
import { storeFiles } from '../../media/store-files.ts';
import type { FileType } from '../../media/file-types.ts';
import type { KeyedSession, SealContext, SessionFile } from '../../sharing/ports.ts';
import { homeContext } from '../../sharing/store-content.ts';
import { linkContext } from '../media-fetches.ts';
import type { HandoffTenants } from '../handoff-tenants.ts';
import type { Tenants, Transaction } from '../tenants.ts';
import { countKeyless, IS_KEYLESS } from './keyless-sessions.ts';
import { countDue, treatColumn, type Treatment } from './rewrap-columns.ts';
import { SEALED_COLUMNS, type SealedColumn } from './sealed-columns.ts';
import { alsoUnreadable, NONE_UNREADABLE, type Unreadable } from './unreadable.ts';

/** What sealing what is plain needs. */
export interface AdoptionParts {
  readonly tenants: Tenants;
  readonly handoff: Pick<HandoffTenants, 'acrossTenants' | 'sealer'>;
  readonly sealer: Sealer;
  readonly media: MediaStore;
}

/** Sessions that are looked for at a time. */
const PAGE = 100;

/** First byte of what was stored before there was encryption. */
const PLAIN = 0x00;

/** What is sealed by now. */
export interface Adopted {
  /** Sessions that got a data key, with their content and files. */
  readonly sessions: number;
  /** Rows of what belongs to no session. */
  readonly rows: number;
  /** Sessions without a data key whose content is not plain: nothing opens it. */
  readonly unreadable: Unreadable;
  /** Whether nothing plain is left; else others were writing, and it has to be done again. */
  readonly complete: boolean;
}

/**
 * Seals what was stored before there was encryption: sessions without a data key, and plain rows of every column that
 * ever was plain; keys that sign never were. It takes whatever lies there for ours, so that only a person may start it,
 * once, right after the upgrade. What it does begins and ends with an event of the platform. To be repeated after it was
 * killed.
 *
 * @throws {MediaStoreUnavailable} when files can't be read or stored
 */
export async function adoptPlain(parts: AdoptionParts, actor: Actor): Promise<Adopted> {
  const { tenants, handoff, sealer } = parts;
  const tell = (reason: string) =>
    handoff.acrossTenants('keys', async (tx) =>
      tx.events.record([{ type: 'storage.plain_adopted', applicationId: PLATFORM_ID, reason }], actor),
    );
  await tell('begun');
  const { adopted: sessions, unreadable } = await adoptSessions(parts);
  let [rows, left] = [0, (await tenants.acrossTenants('keys', countKeyless)) - unreadable.rows];
  for (const column of SEALED_COLUMNS.filter(({ neverPlain }) => neverPlain !== true)) {
    const treatment = sealingPlain(sealer, column);
    rows += (await treatColumn({ tenants, crossing: 'keys' }, column, treatment)).rewrapped;
    left += await tenants.acrossTenants('keys', (tx) => countDue(tx, column, treatment));
  }
  await tell(`sessions=${sessions} rows=${rows}`);
  return { sessions, rows, unreadable, complete: left <= 0 };
}

function sealingPlain(sealer: Sealer, { context }: SealedColumn): Treatment {
  const treat: Treatment['treat'] = (row) => sealer.sealBytes(context(row), plainOf(row.sealed));
  return { due: 'beginning', header: Buffer.of(PLAIN), treat };
}

/** A session is done as a whole or not at all: data key, content, files, and the links to those still with their source. */
async function adoptSessions(
  parts: AdoptionParts,
): Promise<{ readonly adopted: number; readonly unreadable: Unreadable }> {
  let adopted = 0;
  let unreadable = NONE_UNREADABLE;
  for (let after: string | undefined = '00000000-0000-0000-0000-000000000000'; after !== undefined;) {
    const from: string = after;
    const page = await parts.tenants.acrossTenants('keys', (tx) => {
      tx.send('set local statement_timeout = 0');
      return tx.query<{ sessionId: string; applicationId: string }>(
        `select session_id as "sessionId", application_id as "applicationId" from session s
         where session_id > $1 and ${IS_KEYLESS} order by session_id limit ${PAGE}`,
        [from],
      );
    });
    for (const session of page) {
      try {
        if (await adopt(parts, { ...session, key: parts.sealer.newDataKey(session) })) adopted += 1;
      } catch (error) {
        if (!(error instanceof NotPlain)) throw error;
        const first = [{ table: 'session', column: 'data key', id: session.sessionId }];
        unreadable = alsoUnreadable(unreadable, { rows: 1, first });
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
      `select 1 from session s where session_id = $1 and ${IS_KEYLESS} for no key update skip locked`,
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
