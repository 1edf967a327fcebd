import type { QueryResultRow } from 'pg';
import { rowHash, type AuditedEvent } from '../../src/audit/audited-event.ts';
import { chainHash, emptyChain } from '../../src/audit/chain.ts';
import { auditedColumns, hashedTime } from '../../src/postgres/audit-rows.ts';

/** Runs a statement of a superuser. */
type Query = <Row extends QueryResultRow>(text: string, values: readonly unknown[]) => Promise<Row[]>;

/** Makes an application's whole chain fit its events as they are now, as somebody does who knows how it is made. */
export async function recomputeChain(query: Query, applicationId: string): Promise<void> {
  const rows = await query<AuditedEvent & { place: string; sealed_at: string }>(
    `select c.position as place, ${hashedTime('c.sealed_at')} as sealed_at, ${auditedColumns('e')} from audit_chain c join event e on e.event_id = c.event_id
     where c.application_id = $1 order by c.position`,
    [applicationId],
  );
  let head = emptyChain(applicationId);
  for (const [index, { place, sealed_at: sealedAt, ...event }] of rows.entries()) {
    const position = index + 1;
    const row = rowHash(event);
    head = { position, chainHash: chainHash(head.chainHash, { position, rowHash: row, sealedAt }) };
    await query(
      `update audit_chain set position = $3, row_sha256 = $4, chain_sha256 = $5
       where application_id = $1 and position = $2`,
      [applicationId, place, position, row, head.chainHash],
    );
  }
}
