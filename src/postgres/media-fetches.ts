import type { ClaimedFile, MediaFetchLedger } from '../activities/ports.ts';
import type { FetchFailure } from '../domain/media-fetch.ts';
import type { RemoteFile } from '../domain/media-references.ts';
import type { KeyedSession, PayloadSealer, SealContext } from '../sharing/ports.ts';
import { dataKeyOf, keyColumn, type StoredKey } from './data-keys.ts';
import { eventStore } from './events.ts';
import { settleFetchedMedia } from './media.ts';
import type { Tenants, Transaction } from './tenants.ts';

/** How long an attempt may hold its file: its own limit, the storing, and room for the database. */
const LEASE = `interval '3 minutes'`;

/** The fetcher's side of the files that are with their source. */
export function mediaFetchLedger(tenants: Tenants, sealer: PayloadSealer): MediaFetchLedger {
  const inTransaction = <T>(work: (tx: Transaction) => Promise<T>) => tenants.acrossTenants('media', work);
  return {
    forgetUnwanted: (sessionId) => inTransaction(async (tx) => forgetUnwanted(tx, sessionId)),
    claim: (sessionId) => inTransaction((tx) => claimFile(tx, sealer, sessionId)),
    fetched: (file) =>
      inTransaction(async (tx) => {
        const filled = await settleFetchedMedia(tx, file);
        eventStore(tx, sealer).record(
          filled.map((session) => ({ type: 'session.changed', ...session, reason: 'file_fetched' })),
          { kind: 'system', id: null },
        );
        tx.send('delete from media_fetch where media_id = $1', [file.mediaId]);
      }),
    missed: (mediaId, reason, retryInMs) =>
      inTransaction(async (tx) => {
        if (retryInMs === null) return giveUp(tx, mediaId, reason);
        tx.send(
          `update media_fetch set attempts = attempts + 1, last_reason = $2, next_at = handoff_now() + make_interval(secs => $3::float8 / 1000)
           where media_id = $1 and state = 'pending'`,
          [mediaId, reason, retryInMs],
        );
      }),
    nextDueInMs: (sessionId) => inTransaction((tx) => nextDueInMs(tx, sessionId)),
  };
}

/** A file's link as it is stored, sealed with its session's data key: it opens the file to whoever has it. */
export function sealFileUrl(
  sealer: PayloadSealer,
  { key, ...session }: KeyedSession,
  { mediaId, url }: RemoteFile,
): Buffer {
  return sealer.sealPayload(linkContext(session, mediaId), url, key);
}

/** Asks again for the fetching of files whose run seems to be gone; they are overdue anew only after as long again. */
export function wishOverdueFetches(tx: Transaction): void {
  tx.send(
    `with overdue as (
       update media_fetch set next_at = handoff_now() where media_id in (
         select media_id from media_fetch where state = 'pending' and next_at < handoff_now() - interval '10 minutes'
         order by next_at limit 500 for update skip locked)
       returning session_id
     )
     insert into outbox (wish, subject_id) select distinct 'fetch_media', session_id from overdue`,
  );
}

function forgetUnwanted(tx: Transaction, sessionId: string): void {
  tx.send(
    `delete from media_fetch f
     where f.session_id = $1 and f.state = 'pending'
       and not exists (select 1 from session_media m where m.media_id = f.media_id and m.object_key is null)`,
    [sessionId],
  );
}

/** A session that waits for a file; its members are null when none does. */
interface Holder {
  readonly sessionId: string;
  readonly applicationId: string;
  readonly key: StoredKey;
}

async function claimFile(tx: Transaction, sealer: PayloadSealer, sessionId: string): Promise<ClaimedFile | null> {
  // The attempt counts once the source has failed: an outage of our own uses none up.
  const [row] = await tx.query<{ mediaId: string; attempt: number; url: Buffer; holder: Holder }>(
    `with claimed as (update media_fetch set next_at = handoff_now() + ${LEASE}
     where media_id = (
       select media_id from media_fetch where session_id = $1 and state = 'pending' and next_at <= handoff_now()
       order by next_at, media_id limit 1 for update skip locked)
     returning media_id, session_id, attempts + 1 as attempt, url)
     select claimed.media_id as "mediaId", claimed.attempt, with_key(holder.session_id, claimed.url) as url,
       json_build_object('sessionId', holder.session_id, 'applicationId', holder.application_id,
         'key', ${keyColumn('holder.session_id')}) as holder
     from claimed left join lateral (
       select m.session_id, m.application_id from session_media m
       where m.media_id = claimed.media_id and m.object_key is null
       order by m.session_id <> claimed.session_id, m.session_id limit 1) holder on true`,
    [sessionId],
  );
  // Nobody waits any longer for one without a holder: it is forgotten before the next is looked for.
  if (row?.holder.key == null) return null;
  const { mediaId, attempt, holder } = row;
  const session = { ...holder, key: dataKeyOf(holder.key) };
  const url = sealer.openPayload(linkContext(session, mediaId), row.url);
  if (typeof url !== 'string') throw new Error('a stored link is text');
  return { mediaId, session, attempt, url };
}

async function nextDueInMs(tx: Transaction, sessionId: string): Promise<number | null> {
  const [row] = await tx.query<{ due: number | null }>(
    `select ceil(extract(epoch from min(next_at) - handoff_now()) * 1000)::float8 as due
     from media_fetch where session_id = $1 and state = 'pending'`,
    [sessionId],
  );
  // One that is due is in another's hands.
  return row?.due == null ? null : Math.max(1_000, row.due);
}

/** Gives a file up, and forgets its link. The row goes with its session, so that none outlives one that is gone already. */
function giveUp(tx: Transaction, mediaId: string, reason: FetchFailure): void {
  tx.send(
    `select 1 from session where session_id = (select session_id from media_fetch where media_id = $1) for key share`,
    [mediaId],
  );
  tx.send(
    `update media_fetch set state = 'failed', attempts = attempts + 1, last_reason = $2, url = ''
     where media_id = $1 and state = 'pending'`,
    [mediaId, reason],
  );
  tx.send(
    `delete from media_fetch f
     where f.media_id = $1 and not exists (select 1 from session s where s.session_id = f.session_id)`,
    [mediaId],
  );
}

/** What a file's link is bound to. */
export function linkContext(
  { applicationId, sessionId }: Pick<SealContext, 'applicationId' | 'sessionId'>,
  mediaId: string,
): SealContext {
  return { applicationId, sessionId, category: `media_fetch:${mediaId}`, position: 0 };
}
