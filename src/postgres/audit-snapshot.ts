import { createHash } from 'node:crypto';
import { Client, type QueryResultRow } from 'pg';
import type { Anchor } from '../audit/anchors.ts';
import type { ChainRow } from '../audit/verify-chain.ts';
import { canonicalJson } from '../crypto/canonical-json.ts';
import type { PayloadSealer } from '../sharing/ports.ts';
import { ANCHOR_COLUMNS, anchorCopy, SEALED_COLUMNS, type AnchorCopyRow, type SealedEventRow } from './audit-reads.ts';
import { auditedEvent } from './audit-rows.ts';
import { readInterference, type Interference } from './audit-interference.ts';
import { sealContextOfEvent } from './events.ts';
import { isoColumn } from './session-rows.ts';
import type { Transaction } from './tenants.ts';

/** An event that is in no chain. */
export interface LooseEvent {
  readonly applicationId: string;
  readonly eventId: string;
  /** Null when an event waits to be sealed that is not there. */
  readonly type: string | null;
}

/** What of an application waits to be sealed. */
export interface WaitingEvents {
  readonly waiting: number;
  readonly late: number;
  /** When the oldest of those that are late was written, ISO 8601; null when none is. */
  readonly lateSince: string | null;
}

/** The audit trail of all applications as it stood at one moment. */
export interface AuditSnapshot {
  /** The moment, by the database's clock: ISO 8601. */
  readonly now: string;
  /** Every application that has an event, a row of a chain or an anchor's copy, and the platform. */
  applications(): Promise<string[]>;
  rows(applicationId: string, afterPosition: number): AsyncIterable<ChainRow>;
  /** Position of the last row of a chain; 0 when it has none. */
  lastPosition(applicationId: string): Promise<number>;
  /** Runs reads of a trail in the snapshot. */
  within<T>(work: (sql: Pick<Transaction, 'query'>) => Promise<T>): Promise<T>;
  /** Events that wait to be sealed, by application; late are those that were not written within these seconds of now. */
  waiting(lateSeconds: number): Promise<ReadonlyMap<string, WaitingEvents>>;
  /** The first hundred events that are neither sealed nor wait for it in their own application's name, or wait and are gone. */
  loose(): Promise<LooseEvent[]>;
  anchorCopies(): AsyncIterable<Anchor>;
  /** What acts on writes to the trail's tables and is not this build's, or not as this build made it. */
  interference(): Promise<Interference[]>;
  close(): Promise<void>;
}

const PAGE = 2_000;
const LOOSE = 100;

/**
 * Opens the trail for reading alone, in one snapshot, however long it takes.
 *
 * @param sealer opens payloads, to compare them with what was sealed; null leaves them out
 */
export async function openAuditSnapshot(databaseUrl: string, sealer: PayloadSealer | null): Promise<AuditSnapshot> {
  const client = new Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 10_000,
    application_name: 'handoff-audit',
  });
  // The statement under way fails with it.
  client.on('error', () => undefined);
  let now: string | undefined;
  try {
    await client.connect();
    await client.query('begin transaction isolation level repeatable read, read only');
    await client.query('set local role handoff_verify');
    // A database or a login can name other schemas, with a clean copy of the tables.
    await client.query('set local search_path to public, pg_temp');
    await client.query('set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0');
    const { rows } = await client.query<{ now: string }>(`select ${isoColumn('handoff_now()')} as now`);
    now = rows[0]?.now ?? '';
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
  const query = async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await client.query<Row>(text, [...values])).rows;

  const payload = sealer === null ? 'null::bytea' : 'p.payload';
  const ofPayload = sealer === null ? '' : 'left join event_payload p on p.event_id = e.event_id';
  const pageOfRows = (applicationId: string, after: number) =>
    query<StoredRow>(
      `select ${SEALED_COLUMNS}, c.event_id::text as sealed_event_id, ${payload} as payload
       from audit_chain c left join event e on e.event_id = c.event_id ${ofPayload}
       where c.application_id = $1 and c.position > $2 order by c.position limit ${PAGE}`,
      [applicationId, after],
    );
  const pageOfCopies = (last: Anchor | null) =>
    query<AnchorCopyRow>(
      `select ${ANCHOR_COLUMNS} from audit_anchor a
       where $1::uuid is null or (a.application_id, a.position, a.anchored_at) > ($1, $2::bigint, $3::timestamptz)
       order by a.application_id, a.position, a.anchored_at limit ${PAGE}`,
      [last?.application_id ?? null, last?.position ?? null, last?.anchored_at ?? null],
    );

  return {
    now,
    applications: async () => {
      const rows = await query<{ id: string }>(
        `select application_id as id from event union select application_id from audit_chain
         union select application_id from audit_unsealed union select application_id from audit_anchor order by id`,
      );
      return rows.map(({ id }) => id);
    },
    rows: async function* rows(applicationId, afterPosition) {
      let after = afterPosition;
      for (;;) {
        const page = await pageOfRows(applicationId, after);
        for (const row of page) yield chainRow(row, sealer);
        after = page.at(-1)?.position ?? after;
        if (page.length < PAGE) return;
      }
    },
    lastPosition: async (applicationId) => {
      const [row] = await query<{ last: number }>(
        'select coalesce(max(position), 0)::float8 as last from audit_chain where application_id = $1',
        [applicationId],
      );
      return row?.last ?? 0;
    },
    within: (work) => work({ query }),
    waiting: async (lateSeconds) => {
      const rows = await query<WaitingEvents & { id: string }>(
        `select id, count(*)::float8 as waiting, count(*) filter (where is_late)::float8 as late,
           ${isoColumn('min(created_at) filter (where is_late)')} as "lateSince"
         from (
           select u.application_id as id, e.created_at,
             c.event_id is null and abs(extract(epoch from $1::timestamptz - e.created_at)) > $2 as is_late
           from audit_unsealed u
             left join event e on e.event_id = u.event_id and e.application_id = u.application_id
             left join audit_chain c on c.event_id = u.event_id
         ) as queued group by id`,
        [now, lateSeconds],
      );
      return new Map(rows.map(({ id, ...waiting }) => [id, waiting]));
    },
    loose: () =>
      query<LooseEvent & QueryResultRow>(
        `(select e.application_id as "applicationId", e.event_id as "eventId", e.type from event e
          where not exists (select 1 from audit_chain c where c.event_id = e.event_id)
            and not exists (select 1 from audit_unsealed u
                            where u.event_id = e.event_id and u.application_id = e.application_id)
          order by e.created_at, e.event_id limit ${LOOSE})
         union all
         (select u.application_id, u.event_id, null from audit_unsealed u
          where not exists (select 1 from event e where e.event_id = u.event_id)
          order by u.queued_id limit ${LOOSE})`,
      ),
    anchorCopies: async function* anchorCopies() {
      let last: Anchor | null = null;
      for (;;) {
        const page: Anchor[] = (await pageOfCopies(last)).map(anchorCopy);
        yield* page;
        last = page.at(-1) ?? null;
        if (page.length < PAGE) return;
      }
    },
    interference: () => readInterference({ query }),
    close: () => client.end(),
  };
}

type StoredRow = SealedEventRow & { readonly sealed_event_id: string; readonly payload: Buffer | null };

function chainRow(row: StoredRow, sealer: PayloadSealer | null): ChainRow {
  const event = row.event_id === null ? null : auditedEvent(row);
  return {
    position: row.position,
    eventId: row.sealed_event_id,
    rowSha256: row.row_sha256,
    chainSha256: row.chain_sha256,
    sealedAt: row.sealed_at,
    event,
    payloadFits: sealer === null || row.payload === null || event === null || payloadFits(sealer, row),
  };
}

/** Whether the payload opens, and is the one whose digest the event holds. */
function payloadFits(sealer: PayloadSealer, row: StoredRow): boolean {
  const { application_id: applicationId, session_id: sessionId, event_id: eventId, salt, payload } = row;
  if (applicationId === null || eventId === null || salt === null || payload === null) return false;
  try {
    const body = sealer.openPayload(sealContextOfEvent({ applicationId, sessionId, eventId }), payload);
    const text = canonicalJson(body);
    return createHash('sha256').update(Buffer.from(salt, 'hex')).update(text).digest('hex') === row.digest;
  } catch {
    return false;
  }
}
