import type { ClaimedFile, MediaFetchLedger } from '../activities/ports.ts';
import type { FetchFailure } from '../domain/media-fetch.ts';
import type { RemoteFile } from '../domain/media-references.ts';
import type { PayloadSealer, SealContext } from '../sharing/ports.ts';
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
        settleFetchedMedia(tx, file);
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

/** A file's link as it is stored: it opens the file to whoever has it. */
export function sealFileUrl(
  sealer: PayloadSealer,
  applicationId: string,
  sessionId: string,
  { mediaId, url }: RemoteFile,
): Buffer {
  return sealer.sealPayload(contextOf({ applicationId, sessionId, mediaId }), url);
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

async function claimFile(tx: Transaction, sealer: PayloadSealer, sessionId: string): Promise<ClaimedFile | null> {
  // The attempt counts once the source has failed: an outage of our own uses none up.
  const [row] = await tx.query<{ mediaId: string; applicationId: string; attempt: number; url: Buffer }>(
    `update media_fetch set next_at = handoff_now() + ${LEASE}
     where media_id = (
       select media_id from media_fetch where session_id = $1 and state = 'pending' and next_at <= handoff_now()
       order by next_at, media_id limit 1 for update skip locked)
     returning media_id as "mediaId", application_id as "applicationId", attempts + 1 as attempt, url`,
    [sessionId],
  );
  if (row === undefined) return null;
  const { mediaId, applicationId, attempt } = row;
  const url = sealer.openPayload(contextOf({ applicationId, sessionId, mediaId }), row.url);
  if (typeof url !== 'string') throw new Error('a stored link is text');
  return { mediaId, attempt, url };
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

function contextOf(file: {
  readonly applicationId: string;
  readonly sessionId: string;
  readonly mediaId: string;
}): SealContext {
  const { applicationId, sessionId, mediaId } = file;
  return { applicationId, sessionId, category: `media_fetch:${mediaId}`, position: 0 };
}
