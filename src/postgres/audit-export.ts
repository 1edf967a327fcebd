import { readChainHash, SEALED_COLUMNS, sealedEvent, type SealedEventRow } from './audit-reads.ts';
import type { ExportedEvent } from '../audit/export.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** What an export covers: the rows of a chain from after one position to another, as they stood at one moment. */
export interface ExportSpan {
  /** ISO 8601, by the database's clock. */
  readonly exportedAt: string;
  /** Null for the chain's beginning. */
  readonly after: { readonly position: number; readonly chainSha256: string } | null;
  /** Position of the last row; 0 when nothing is sealed. */
  readonly upTo: number;
}

/**
 * The span of an application's chain that holds all events since a time (ISO 8601), or all there are. Its first row is the
 * last one that was sealed before that time: whoever verifies sees that nothing of that time comes before.
 */
export async function readExportSpan(
  tx: Pick<Transaction, 'query'>,
  applicationId: string,
  since: string | undefined,
): Promise<ExportSpan> {
  const [row] = await tx.query<{ exportedAt: string; upTo: number; before: number }>(
    `select ${isoColumn('handoff_now()')} as "exportedAt",
       coalesce((select position from audit_chain where application_id = $1 order by position desc limit 1), 0)::float8
         as "upTo",
       coalesce((select position from audit_chain where application_id = $1 and sealed_at < $2::timestamptz
                 order by sealed_at desc, position desc limit 1), 1)::float8 - 1 as before`,
    [applicationId, since ?? null],
  );
  if (row === undefined) throw new Error('a look at the clock has a row');
  const { exportedAt, upTo, before } = row;
  const chainSha256 = before === 0 ? null : await readChainHash(tx, applicationId, before);
  return { exportedAt, upTo, after: chainSha256 === null ? null : { position: before, chainSha256 } };
}

/** The next rows of a chain, each with whether its event is of the time that is wanted (ISO 8601, both ends included). */
export async function readExportRows(
  tx: Pick<Transaction, 'query'>,
  applicationId: string,
  page: { readonly afterPosition: number; readonly upTo: number; readonly limit: number },
  time: { readonly since?: string | undefined; readonly until?: string | undefined },
): Promise<{ readonly wanted: boolean; readonly event: ExportedEvent }[]> {
  const rows = await tx.query<SealedEventRow & { wanted: boolean }>(
    `select ${SEALED_COLUMNS},
       ($5::timestamptz is null or e.created_at >= $5) and ($6::timestamptz is null or e.created_at <= $6) as wanted
     from audit_chain c join event e on e.event_id = c.event_id and e.application_id = c.application_id
     where c.application_id = $1 and c.position > $2 and c.position <= $3 order by c.position limit $4`,
    [applicationId, page.afterPosition, page.upTo, page.limit, time.since ?? null, time.until ?? null],
  );
  return rows.map((row) => ({ wanted: row.wanted, event: sealedEvent(row) }));
}
