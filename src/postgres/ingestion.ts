import type { IngestedSession, IngestStore, NewSession, PayloadSealer, SessionRow } from '../sharing/ports.ts';
import { dataKeyOf, keyColumn, type StoredKey } from './data-keys.ts';
import { sealFileUrl } from './media-fetches.ts';
import { insertSessionMedia } from './media.ts';
import { insertContentRows } from './session-contents.ts';
import { REVIEW_ACTIVITY } from './session-reviews.ts';
import { SESSION_RECORD, sessionColumns } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Events of one second that are remembered. */
const EVENTS_KEPT = 20;
/** The last events of the second $4, the event $3 among them. */
const HEARD = `(array_remove(array_prepend($3::text,
  case when content_at = to_timestamp($4::float8) then content_events else '{}' end), null))[:${EVENTS_KEPT}]`;

/** SQL of what a source says of its sessions later. */
export function ingestStore(tx: Transaction, sealer: PayloadSealer): IngestStore {
  return {
    lock: (applicationId, sessionId) => lockSession(tx, applicationId, sessionId),
    replaceContent: (replacement) => replaceContent(tx, replacement),
    note: ({ applicationId, sessionId, status }, { eventId, madeAt, sentAt }) =>
      tx.send(
        `update session set status = $5, content_events = ${HEARD}, content_at = to_timestamp($4::float8),
           content_sent_at = to_timestamp($6::float8), updated_at = handoff_now()
         where session_id = $1 and application_id = $2`,
        [sessionId, applicationId, eventId, madeAt, status, sentAt],
      ),
    noteStale: ({ applicationId, sessionId }, { eventId, madeAt }) =>
      tx.send(
        `update session set content_events = ${HEARD}
         where session_id = $1 and application_id = $2 and content_at = to_timestamp($4::float8)
           and not $3::text = any (content_events)`,
        [sessionId, applicationId, eventId, madeAt],
      ),
    expectFiles: (session, files) => {
      const { applicationId, sessionId } = session;
      const mediaIds = files.map(({ mediaId }) => mediaId);
      insertSessionMedia(
        tx,
        { sessionId, applicationId },
        mediaIds.map((mediaId) => ({ mediaId, objectKey: null, contentType: null, byteLength: null })),
      );
      tx.send(
        `insert into media_fetch (session_id, application_id, media_id, url)
         select $1, $2, * from unnest($3::uuid[], $4::bytea[])`,
        [sessionId, applicationId, mediaIds, files.map((file) => sealFileUrl(sealer, session, file))],
      );
    },
  };
}

async function lockSession(tx: Transaction, applicationId: string, sessionId: string): Promise<IngestedSession | null> {
  const [row] = await tx.query<SessionRow & { eventIds: string[]; madeAt: number | null; sentAt: number | null }>(
    `select ${sessionColumns('s')}, s.content_events as "eventIds", extract(epoch from s.content_at)::float8 as "madeAt",
       extract(epoch from s.content_sent_at)::float8 as "sentAt"
     from session s where s.session_id = $1 and s.application_id = $2 for update of s`,
    [sessionId, applicationId],
  );
  if (row === undefined) return null;
  const { eventIds, madeAt, sentAt, ...session } = row;
  // A statement of its own: it sees what was committed before the lock was had.
  const [reviews, [own]] = await Promise.all([
    tx.query<{ position: number }>(
      `select position from session_home where session_id = $1 and application_id = $2 and category = $3`,
      [sessionId, applicationId, REVIEW_ACTIVITY],
    ),
    tx.query<{ key: StoredKey }>(`select ${keyColumn('$1')} as key`, [sessionId]),
  ]);
  return {
    session,
    key: dataKeyOf(own?.key ?? null),
    word: madeAt === null ? null : { eventIds, madeAt, sentAt: sentAt ?? madeAt },
    ownReviews: reviews.map(({ position }) => position),
  };
}

function replaceContent(tx: Transaction, replacement: NewSession): void {
  const { sessionId, applicationId } = replacement.session;
  for (const table of ['session_person', 'session_search', 'session_media']) {
    tx.send(`delete from ${table} where session_id = $1 and application_id = $2`, [sessionId, applicationId]);
  }
  for (const table of ['session_check', 'session_home']) {
    tx.send(
      `delete from ${table} t where session_id = $1 and application_id = $2 and category <> $3
         and not (category = 'reviews' and exists (
           select 1 from session_home own where own.session_id = $1 and own.application_id = $2 and own.category = $3
             and own.position = t.position))`,
      [sessionId, applicationId, REVIEW_ACTIVITY],
    );
  }
  insertContentRows(tx, applicationId, [replacement]);
  tx.send(
    `update session s set vendor_data = r."vendorData", nfc_skip_reason = r."nfcSkipReason",
       features = array(select jsonb_array_elements_text(r.features)), document_expires_on = r."documentExpiresOn",
       country = r.country, document_type = r."documentType",
       warnings = array(select jsonb_array_elements_text(r.warnings)), created_at = r."createdAt",
       expires_at = r."expiresAt", updated_at = handoff_now()
     from jsonb_to_recordset($3::jsonb) as r(${SESSION_RECORD})
     where s.session_id = $1 and s.application_id = $2`,
    [sessionId, applicationId, JSON.stringify([replacement.session])],
  );
}
