import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** One hop of a shared session's way, the nearest first. */
export interface ProvenanceRow {
  readonly hop: number;
  readonly source_session_id: string;
  readonly source_application_id: string;
  readonly token_id: string;
  /** ISO 8601. */
  readonly imported_at: string;
}

/** The hops of an application's own session; null when it has no such session. */
export async function readProvenance(
  tx: Transaction,
  applicationId: string,
  sessionId: string,
  page: { readonly limit: number; readonly offset: number },
): Promise<{ count: number; rows: ProvenanceRow[] } | null> {
  const [[found], rows] = await Promise.all([
    tx.query<{ count: number }>(
      `select (select count(*) from session_provenance p where p.session_id = s.session_id)::float8 as count
       from session s where s.session_id = $1 and s.application_id = $2`,
      [sessionId, applicationId],
    ),
    tx.query<ProvenanceRow>(
      `select hop, source_session_id, source_application_id, token_id, ${isoColumn('imported_at')} as imported_at
       from session_provenance where session_id = $1 and application_id = $2 order by hop limit $3 offset $4`,
      [sessionId, applicationId, page.limit, page.offset],
    ),
  ]);
  return found === undefined ? null : { count: found.count, rows };
}
