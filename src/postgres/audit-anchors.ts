import type { Anchor, AnchorFacts } from '../audit/anchors.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Chains that are anchored at once. */
export const ANCHOR_BATCH = 500;

/**
 * The ends of chains that advanced since their last anchor, for the caller alone: nobody else is given them, and
 * neither is the caller, before this many seconds are over.
 */
export async function takeChainsToAnchor(tx: Transaction, everySeconds: number): Promise<AnchorFacts[]> {
  return tx.query<AnchorFacts & Record<string, unknown>>(
    `update audit_head h set anchor_begun_at = handoff_now()
     from (select e.application_id from audit_head e
           -- Whoever wrote the head alone has nothing signed.
           join audit_chain c using (application_id, position, chain_sha256)
           where e.position > e.anchored_position
             and (e.anchor_begun_at is null or e.anchor_begun_at <= handoff_now() - make_interval(secs => $1))
           order by e.application_id limit ${ANCHOR_BATCH} for update of e skip locked) due
     where h.application_id = due.application_id
     returning h.application_id, h.position::float8 as position, encode(h.chain_sha256, 'hex') as chain_sha256,
       ${isoColumn('h.anchor_begun_at')} as anchored_at`,
    [everySeconds],
  );
}

/** Notes anchors that the store outside holds, with a copy of each for exports. */
export function recordAnchors(tx: Transaction, anchors: readonly Anchor[]): void {
  tx.send(
    `insert into audit_anchor (application_id, position, chain_sha256, anchored_at, key_id, signature)
     select * from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5::text[], $6::bytea[])
     on conflict do nothing`,
    [
      anchors.map(({ application_id }) => application_id),
      anchors.map(({ position }) => position),
      anchors.map(({ chain_sha256 }) => Buffer.from(chain_sha256, 'hex')),
      anchors.map(({ anchored_at }) => anchored_at),
      anchors.map(({ key_id }) => key_id),
      anchors.map(({ signature }) => Buffer.from(signature, 'base64url')),
    ],
  );
  tx.send(
    `update audit_head h set anchored_position = greatest(h.anchored_position, a.position)
     from unnest($1::uuid[], $2::bigint[]) as a (application_id, position) where h.application_id = a.application_id`,
    [anchors.map(({ application_id }) => application_id), anchors.map(({ position }) => position)],
  );
}
