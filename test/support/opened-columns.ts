import type { Pool } from 'pg';
import type { Sealer } from '../../src/crypto/payload-seal.ts';
import type { MediaStore } from '../../src/media/ports.ts';
import { openFile } from '../../src/media/sealed-file.ts';
import { linkContext } from '../../src/postgres/media-fetches.ts';
import { SEALED_COLUMNS, type SealedRow } from '../../src/postgres/rotation/sealed-columns.ts';
import type { SealContext } from '../../src/sharing/ports.ts';
import { homeContext } from '../../src/sharing/store-content.ts';
import type { Places } from './canary-places.ts';

/** What every key of an installation opens of what it stores, by column, and of its files: whoever has all keys reads it. */
export async function openedColumns(pool: Pool, sealer: Sealer, media: MediaStore): Promise<Places> {
  const places: Record<string, Buffer> = {};
  const add = (place: string, opened: readonly Buffer[]) => {
    places[`${place}, opened`] = Buffer.concat(opened.flatMap((bytes) => [bytes, Buffer.of(0)]));
  };
  for (const column of SEALED_COLUMNS) {
    if (column.holdsDataKeys === true) continue;
    const id = Object.keys(column.key).map((part) => `t.${part}::text`);
    const { rows } = await pool.query<SealedRow>(
      `select array[${id.join(', ')}] as id, ${column.applicationId ?? 't.application_id'}::text as "applicationId",
         ${column.subject ?? 'null'}::text as subject, t.${column.column} as sealed
       from ${column.table} t ${column.join ?? ''} where t.${column.column} is not null`,
    );
    add(
      `${column.table}.${column.column}`,
      rows.map((row) => sealer.openBytes(column.context(row), row.sealed)),
    );
  }
  await openContent(pool, sealer, add);
  const { rows: files } = await pool.query<
    Record<'sessionId' | 'applicationId' | 'mediaId' | 'object' | 'keyId', string> & { wrapped: Buffer }
  >(
    `select m.session_id as "sessionId", m.application_id as "applicationId", m.media_id as "mediaId",
       m.object_key as object, k.key_id as "keyId", k.wrapped
     from session_media m join session_key k using (session_id) where m.object_key is not null`,
  );
  const opened: Buffer[] = [];
  for (const { object, mediaId, sessionId, applicationId, keyId, wrapped } of files) {
    const stored = await media.get(object);
    if (stored === null) throw new Error('the store has lost a file');
    opened.push(openFile(sealer, { sessionId, applicationId, key: { keyId, wrapped } }, mediaId, stored));
  }
  add('files', opened);
  return places;
}

/** What is under the data keys of sessions. */
async function openContent(pool: Pool, sealer: Sealer, add: (place: string, opened: readonly Buffer[]) => void) {
  interface Part {
    readonly applicationId: string;
    readonly sessionId: string;
    readonly category: string;
    readonly position: number;
    readonly sealed: Buffer;
  }
  const part = `t.application_id as "applicationId", t.session_id as "sessionId"`;
  const contexts: Readonly<Record<string, { readonly select: string; readonly context: (row: Part) => SealContext }>> =
    {
      'session_check.payload': {
        select: `select ${part}, category, position, with_key(session_id, payload) as sealed from session_check t`,
        context: ({ sealed: _sealed, ...place }) => place,
      },
      'session_home.payload': {
        select: `select ${part}, category, position, with_key(session_id, payload) as sealed from session_home t`,
        context: ({ category, position, ...session }) => homeContext(session, category, position),
      },
      'media_fetch.url': {
        select: `select ${part}, media_id::text as category, with_key(session_id, url) as sealed from media_fetch t
        where url <> ''`,
        context: ({ category, ...session }) => linkContext(session, category),
      },
    };
  for (const [place, { select, context }] of Object.entries(contexts)) {
    const { rows } = await pool.query<Part>(select);
    add(
      place,
      rows.map((row) => sealer.openBytes(context(row), row.sealed)),
    );
  }
}
