import { emptyChain, link } from '../audit/chain.ts';
import type { AuditedEvent } from '../audit/audited-event.ts';
import { auditedColumns, hashedTime } from './audit-rows.ts';
import type { Transaction } from './tenants.ts';

/** Events that are sealed in one transaction. */
export const SEAL_BATCH = 500;

/** Applications (or the platform) that have events to seal. */
export async function applicationsToSeal(tx: Transaction): Promise<string[]> {
  // From one application to the next by the index, however many events each has.
  const rows = await tx.query<{ application_id: string }>(
    `with recursive waiting as (
       (select application_id from audit_unsealed order by application_id limit 1)
       union all
       select (select u.application_id from audit_unsealed u
               where u.application_id > w.application_id order by u.application_id limit 1)
       from waiting w where w.application_id is not null
     ) select application_id from waiting where application_id is not null`,
  );
  return rows.map(({ application_id }) => application_id);
}

/** How many events wait to be sealed, under whatever application, and for how long the oldest does. */
export async function unsealedEvents(tx: Transaction): Promise<{ events: number; seconds: number }> {
  const [row] = await tx.query<{ events: number; seconds: number }>(
    `select count(*)::float8 as events,
       coalesce(extract(epoch from handoff_now() - min(e.created_at)), 0)::float8 as seconds
     from audit_unsealed u join event e on e.event_id = u.event_id`,
  );
  return row ?? { events: 0, seconds: 0 };
}

/**
 * Seals the oldest events of an application that wait, at the end of its chain; those of one subject in the order of
 * their sequence. Does nothing while another relay seals for it.
 *
 * @returns how many it sealed: {@link SEAL_BATCH} when there may be more
 */
export async function sealEvents(tx: Transaction, applicationId: string): Promise<number> {
  tx.send('insert into audit_head (application_id) values ($1) on conflict do nothing', [applicationId]);
  const [head] = await tx.query<{ position: number; chain_sha256: Buffer | null; now: string }>(
    `select position::float8 as position, chain_sha256, ${hashedTime('handoff_now()')} as now from audit_head where application_id = $1
     for update skip locked`,
    [applicationId],
  );
  if (head === undefined) return 0;
  // An entry that somebody made for an event that is sealed counts for nothing, and goes with the others.
  const waiting = await tx.query<AuditedEvent & { sealed: boolean }>(
    `select exists (select 1 from audit_chain c where c.event_id = e.event_id) as sealed,
       ${auditedColumns('e')}
     from audit_unsealed u join event e on e.event_id = u.event_id and e.application_id = u.application_id
     where u.application_id = $1 order by u.queued_id limit ${SEAL_BATCH}`,
    [applicationId],
  );
  if (waiting.length === 0) return 0;
  const begin = emptyChain(applicationId);
  const links = link(
    { position: head.position, chainHash: head.chain_sha256 ?? begin.chainHash },
    waiting.filter(({ sealed }) => !sealed),
    head.now,
  );
  tx.send(
    `insert into audit_chain (application_id, position, event_id, row_sha256, chain_sha256, sealed_at)
     select $1, r.*, $6::timestamptz from unnest($2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[]) as r`,
    [
      applicationId,
      links.map(({ position }) => position),
      links.map(({ eventId }) => eventId),
      links.map(({ rowHash }) => rowHash),
      links.map(({ chainHash }) => chainHash),
      head.now,
    ],
  );
  const end = links.at(-1);
  if (end !== undefined) {
    tx.send('update audit_head set position = $2, chain_sha256 = $3 where application_id = $1', [
      applicationId,
      end.position,
      end.chainHash,
    ]);
  }
  tx.send('delete from audit_unsealed where event_id = any ($1::uuid[])', [waiting.map(({ event_id }) => event_id)]);
  return waiting.length;
}
