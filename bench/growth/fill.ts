import type { Pool, PoolClient } from 'pg';
import { escapeIdentifier } from 'pg';
import { inTransaction } from '../../test/support/in-transaction.ts';
import { inFlight } from '../in-flight.ts';

/** Of how many days the sessions are that an application is filled with. */
const DAYS = 365;

/**
 * Columns that a copy has of its own, by table, as SQL over `c` (the copy), `t` (the row that is copied); all others are
 * copied. Content keeps its bytes and its data key, as a clone's does.
 */
const COPIES: readonly {
  readonly table: string;
  readonly on: string;
  readonly own: Readonly<Record<string, string>>;
}[] = [
  {
    table: 'session',
    on: 't.session_id = c.source_id',
    own: {
      session_id: 'c.session_id',
      session_number: 'c.n',
      external_id: `'copy-' || c.n`,
      vendor_data: 'c.vendor_data',
      created_at: 'c.created_at',
      updated_at: 'c.created_at',
    },
  },
  { table: 'session_key', on: 't.session_id = c.source_id', own: { session_id: 'c.session_id' } },
  { table: 'session_check', on: 't.session_id = c.source_id', own: { session_id: 'c.session_id' } },
  { table: 'session_home', on: 't.session_id = c.source_id', own: { session_id: 'c.session_id' } },
  {
    table: 'session_search',
    on: 't.session_id = c.source_id',
    // Names of their own.
    own: { session_id: 'c.session_id', term: `substring(sha256(t.term || int8send(c.n)) for octet_length(t.term))` },
  },
  {
    table: 'entity',
    on: 't.application_id = c.application_id and t.vendor_data = c.source_vendor_data',
    own: {
      entity_id: 'gen_random_uuid()',
      vendor_data: 'c.vendor_data',
      first_session_at: 'c.created_at',
      last_session_at: 'c.created_at',
      created_at: 'c.created_at',
      updated_at: 'c.created_at',
    },
  },
  {
    table: 'event',
    on: 't.session_id = c.source_id',
    own: {
      event_id: 'c.event_id',
      session_id: 'c.session_id',
      subject_id: 'c.session_id',
      dedupe_key: 'c.event_id::text',
      request_id: 'c.event_id::text',
      created_at: 'c.created_at',
    },
  },
];

/** Tables are written by so many connections at a time: one for each core of a small machine. */
const AT_A_TIME = 2;

/** The plan of the copies to come; of no use afterwards. */
const PLAN = 'bench_copy';

/**
 * Fills an application up to so many sessions, as if it had taken one in at a time for a year: each is a copy of one that
 * it took in itself, with its rows in all tables, its own ids (time-ordered where ours are), customer and search terms.
 * Their events count as sealed in the audit trail. Indexes that no other table refers to are made anew afterwards, which
 * takes a fraction of the time. Planner statistics are taken then. Nothing else may use the database meanwhile.
 *
 * @param pool of the superuser, with as many connections as are used at a time
 * @throws Error when the application has no session yet, or not `count` in the end
 */
export async function fillSessions(pool: Pool, applicationId: string, count: number): Promise<void> {
  await planCopies(pool, applicationId, count);
  await inFlight(COPIES, AT_A_TIME, (copy) =>
    inTransaction(pool, async (client) => {
      // Neither foreign keys nor triggers: what is copied was checked when it was taken in.
      await client.query(`set local session_replication_role = replica`);
      await client.query(`set local work_mem = '256MB'`);
      await client.query(`set local maintenance_work_mem = '512MB'`);
      await withoutIndexes(client, copy.table, () => copyRows(client, copy));
    }),
  );
  await pool.query(`drop table ${PLAN}`);
  await pool.query(
    `update session_counter set last_number = $2, living = $2 where application_id = $1 and session_kind = 'user'`,
    [applicationId, count],
  );
  await pool.query('vacuum (analyze)');
  await pool.query('checkpoint');
  const { rows } = await pool.query<{ stored: number; entities: number }>(
    `select (select count(*) from session where application_id = $1)::float8 as stored,
       (select count(*) from entity where application_id = $1)::float8 as entities`,
    [applicationId],
  );
  if (rows[0]?.stored !== count || rows[0].entities !== count) {
    throw new Error(`${rows[0]?.stored} sessions of ${rows[0]?.entities} customers instead of ${count}`);
  }
}

/** One row for each copy to come, in the order of their time. */
async function planCopies(pool: Pool, applicationId: string, count: number): Promise<void> {
  // UUID version 7 of a copy's time, with the rest of it from a hash.
  const idOf = (what: string) => `(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(n || '${what}' || $1::text), 1, 3) || '8' || substr(md5(n || '${what}' || $1::text), 4, 15))::uuid`;
  await pool.query(
    `create unlogged table ${PLAN} as
     with source as (
       select session_id, vendor_data, row_number() over (order by session_id) - 1 as place, count(*) over () as sources
       from session where application_id = $1::uuid
     ), planned as (
       select n, now() - interval '${DAYS} days' * (1 - n / ($2::float8 + 1)) as at from generate_series(1, $2) as n
     )
     select planned.n, at as created_at, ${idOf('session')} as session_id, ${idOf('event')} as event_id,
       'copy-customer-' || n as vendor_data, $1::uuid as application_id,
       source.session_id as source_id, source.vendor_data as source_vendor_data
     from planned join source on source.place = planned.n % source.sources
     where n > source.sources
     order by n`,
    [applicationId, count],
  );
  await pool.query(`analyze ${PLAN}`);
}

/** Does `write` while the table lacks its indexes, but for those that other tables refer to. */
async function withoutIndexes(client: PoolClient, table: string, write: () => Promise<void>): Promise<void> {
  const { rows: constraints } = await client.query<{ name: string; definition: string }>(
    `select quote_ident(c.conname) as name, pg_get_constraintdef(c.oid) as definition from pg_constraint c
     where c.conrelid = $1::regclass and c.contype in ('p', 'u')
       and not exists (select 1 from pg_constraint f where f.contype = 'f' and f.conindid = c.conindid)`,
    [table],
  );
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid = $1::regclass and not exists (select 1 from pg_constraint where conindid = indexrelid)`,
    [table],
  );
  for (const { name } of constraints) await client.query(`alter table ${table} drop constraint ${name}`);
  for (const { name } of indexes) await client.query(`drop index ${name}`);
  await write();
  for (const { name, definition } of constraints) {
    await client.query(`alter table ${table} add constraint ${name} ${definition}`);
  }
  for (const { definition } of indexes) await client.query(definition);
}

async function copyRows(client: PoolClient, { table, on, own }: (typeof COPIES)[number]): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a'
     order by attnum`,
    [table],
  );
  const names = rows.map(({ name }) => name);
  const missing = Object.keys(own).filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`${table} has no ${missing.join(', ')}`);
  const values = names.map((name) => own[name] ?? `t.${escapeIdentifier(name)}`);
  await client.query(
    `insert into ${table} (${names.map(escapeIdentifier).join(', ')})
     select ${values.join(', ')} from ${PLAN} c join ${table} t on ${on} order by c.n`,
  );
}
