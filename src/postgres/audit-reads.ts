import type { Anchor } from '../audit/anchors.ts';
import type { AuditedEvent } from '../audit/audited-event.ts';
import type { ExportedEvent } from '../audit/export.ts';
import { auditedColumns, auditedEvent, hashedTime } from './audit-rows.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** Select list of an event `e` with its place `c` in the chain: a row of it is for {@link sealedEvent}. */
export const SEALED_COLUMNS = `c.position::float8 as position, encode(c.row_sha256, 'hex') as row_sha256,
  encode(c.chain_sha256, 'hex') as chain_sha256, coalesce(${hashedTime('c.sealed_at')}, '') as sealed_at,
  ${auditedColumns('e')}`;

/** Row of {@link SEALED_COLUMNS}. */
export type SealedEventRow = AuditedEvent & {
  readonly position: number;
  readonly row_sha256: string;
  readonly chain_sha256: string;
  /** Empty for a time that is none, as only a tampered row has. */
  readonly sealed_at: string;
};

export function sealedEvent(row: SealedEventRow): ExportedEvent {
  const { position, row_sha256: rowSha256, chain_sha256: chainSha256, sealed_at: sealedAt } = row;
  return { position, rowSha256, chainSha256, sealedAt, event: auditedEvent(row) };
}

/** The sealed events of an application that follow a position of its chain, in their order. */
export async function readSealedEvents(
  tx: Pick<Transaction, 'query'>,
  applicationId: string,
  page: { readonly afterPosition: number; readonly limit: number },
): Promise<ExportedEvent[]> {
  const rows = await tx.query<SealedEventRow>(
    `select ${SEALED_COLUMNS} from audit_chain c join event e on e.event_id = c.event_id
     where c.application_id = $1 and e.application_id = $1 and c.position > $2 order by c.position limit $3`,
    [applicationId, page.afterPosition, page.limit],
  );
  return rows.map(sealedEvent);
}

/** The hash of an application's chain at a position, in hexadecimal; null when nothing is sealed there. */
export async function readChainHash(
  tx: Pick<Transaction, 'query'>,
  applicationId: string,
  position: number,
): Promise<string | null> {
  const [row] = await tx.query<{ hash: string }>(
    `select encode(chain_sha256, 'hex') as hash from audit_chain where application_id = $1 and position = $2`,
    [applicationId, position],
  );
  return row?.hash ?? null;
}

/** Copies of an application's anchors that lie beyond a position, in the order of theirs. */
export async function readAnchorCopies(
  tx: Pick<Transaction, 'query'>,
  applicationId: string,
  page: { readonly afterPosition: number; readonly limit: number },
): Promise<Anchor[]> {
  const rows = await tx.query<AnchorCopyRow>(
    `select ${ANCHOR_COLUMNS} from audit_anchor a where a.application_id = $1 and a.position > $2
     order by a.position, a.anchored_at limit $3`,
    [applicationId, page.afterPosition, page.limit],
  );
  return rows.map(anchorCopy);
}

/** Select list of a copy of an anchor, `a`. */
export const ANCHOR_COLUMNS = `a.application_id, a.position::float8 as position,
  encode(a.chain_sha256, 'hex') as chain_sha256, ${isoColumn('a.anchored_at')} as anchored_at, a.key_id, a.signature`;

/** Row of {@link ANCHOR_COLUMNS}. */
export type AnchorCopyRow = Omit<Anchor, 'signature'> & { readonly signature: Buffer };

export function anchorCopy({ signature, ...facts }: AnchorCopyRow): Anchor {
  return { ...facts, signature: signature.toString('base64url') };
}
