import type { Pool } from 'pg';
import { expect, it } from 'vitest';
import { ROLES, type Operation, type RoleListing } from '../../src/postgres/isolation/roles.ts';
import { ROLE_NAMES } from '../../src/postgres/isolation/statements.ts';
import { TABLES, UNPOLICED } from '../../src/postgres/isolation/tables.ts';
import { testDatabase } from '../support/database.ts';
import { listedPrivileges } from '../support/isolation.ts';

const database = testDatabase();
const OPERATIONS = Object.keys(ROLES) as Operation[];
const COMMANDS = ['select', 'insert', 'update', 'delete'] as const;
const SCHEMA = `'public'::regnamespace`;

async function column<T>(text: string, pool: Pick<Pool, 'query'> = database.pool): Promise<T[]> {
  const { rows } = await pool.query<Record<string, T>>(text);
  return rows.flatMap((row) => Object.values(row));
}

/** Tables that the listing says nothing of. */
const unlisted = async (pool?: Pick<Pool, 'query'>) => {
  const tables = await column<string>(
    `select relname from pg_class where relnamespace = ${SCHEMA} and relkind in ('r', 'p') and relname <> 'test_clock'`,
    pool,
  );
  return tables.filter((table) => !(table in TABLES) && !(table in UNPOLICED));
};

it('knows every table, and would miss a new one', async () => {
  expect(await unlisted()).toEqual([]);
  const there = await column<string>(`select relname from pg_class where relnamespace = ${SCHEMA} and relkind = 'r'`);
  expect([...Object.keys(TABLES), ...Object.keys(UNPOLICED)].filter((table) => !there.includes(table))).toEqual([]);
  const client = await database.pool.connect();
  await client.query('begin; create table another (application_id uuid)');
  expect(await unlisted(client)).toEqual(['another']);
  await client.query('rollback');
  client.release();
});

it('has every table with a tenant’s column under forced policies', async () => {
  const bare = await column<string>(
    `select c.relname from pg_class c
     where c.relnamespace = ${SCHEMA} and c.relkind in ('r', 'p') and exists (
         select 1 from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
           and a.attname in ('application_id', 'issuer_id', 'partner_id', 'session_id', 'token_id', 'event_id', 'delivery_id'))
       and not (c.relrowsecurity and c.relforcerowsecurity
         and exists (select 1 from pg_policy p where p.polrelid = c.oid))`,
  );
  // Its rows are wishes of the platform, which name what they are about.
  expect(bare).toEqual(['outbox']);
  const policed = await column<string>(
    `select relname from pg_class where relnamespace = ${SCHEMA} and relrowsecurity and relforcerowsecurity order by 1`,
  );
  expect(policed).toEqual(Object.keys(TABLES).toSorted());
});

it('has roles that own nothing, cannot log in and are under every policy', async () => {
  const names = ROLE_NAMES.map((role) => `'${role}'`).join(', ');
  const strong = await column(
    `select rolname from pg_roles where rolname in (${names})
       and (rolsuper or rolbypassrls or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication)`,
  );
  expect(strong).toEqual([]);
  expect(await column(`select count(*)::int from pg_roles where rolname in (${names})`)).toEqual([ROLE_NAMES.length]);
  const owned = await column(
    `select d.classid::regclass || ' ' || d.objid from pg_shdepend d join pg_roles r on r.oid = d.refobjid
     where d.deptype = 'o' and r.rolname in (${names})
       and not (r.rolname = 'handoff_lookup' and d.classid = 'pg_proc'::regclass)`,
  );
  expect(owned).toEqual([]);
  const members = await column(
    `select m.rolname || ' of ' || r.rolname from pg_auth_members a join pg_roles r on r.oid = a.roleid
       join pg_roles m on m.oid = a.member where m.rolname in (${names}) order by 1`,
  );
  const baseOf = (operation: Operation): string => {
    const listing: RoleListing = ROLES[operation];
    return listing.base ?? 'across';
  };
  const based = OPERATIONS.filter((operation) => baseOf(operation) !== 'nothing');
  expect(members).toEqual(based.map((operation) => `handoff_${operation} of handoff_${baseOf(operation)}`).toSorted());
  // They may write facts of the trail, and none that others tell.
  expect(OPERATIONS.filter((operation) => !based.includes(operation))).toEqual(['codec', 'media']);
});

it('has views that are under the reader’s policies, and functions of the owner that find only its own objects', async () => {
  const views = await column(
    `select relname from pg_class where relnamespace = ${SCHEMA} and relkind in ('v', 'm')
       and not coalesce('security_invoker=true' = any (reloptions), false)`,
  );
  expect(views).toEqual([]);
  const { rows: definers } = await database.pool.query<{
    name: string;
    owner: string;
    settings: string;
    callers: string[];
  }>(
    `select p.proname as name, p.proowner::regrole::text as owner, p.proconfig::text as settings, array(
       select coalesce(nullif(a.grantee, 0)::regrole::text, 'everybody')
       from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
       where a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner) as callers
     from pg_proc p where p.pronamespace = ${SCHEMA} and p.prosecdef`,
  );
  expect(definers.map(({ settings }) => settings)).toEqual(definers.map(() => '{"search_path=public, pg_temp"}'));
  expect(definers.length).toBeGreaterThan(5);
  const callers = Map.groupBy(definers, ({ owner }) => owner === 'handoff_lookup');
  // What runs as the tables' owner is a trigger: nobody may call it, nor put it on a table of their own.
  expect(callers.get(false)?.map(({ name, callers: who }) => [name, ...who])).toEqual([['look_at_media_objects']]);
  expect(callers.get(true)?.filter(({ callers: who }) => who.join() !== 'handoff_own')).toEqual([]);
});

it('lets nobody say when a row was made, where the database says it', async () => {
  const { rows: made } = await database.pool.query(
    `select c.relname, a.attname, role from pg_attribute a join pg_class c on c.oid = a.attrelid
       join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum cross join unnest($1::text[]) role
     where c.relnamespace = ${SCHEMA} and a.attname in ('created_at', 'recorded_at')
       and pg_get_expr(d.adbin, d.adrelid) = 'handoff_now()' and has_column_privilege(role, c.oid, a.attnum, 'insert')`,
    [OPERATIONS.map((operation) => `handoff_${operation}`)],
  );
  expect(made).toEqual([]);
});

it('has unique keys that tell a tenant nothing of another’s: they hold its id, or ids and digests that we make', async () => {
  const keys = await column<string>(
    `select c.relname || ' (' || string_agg(a.attname, ', ' order by k.nth) || ')'
     from pg_index i join pg_class c on c.oid = i.indrelid
       cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, nth)
       join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
     where c.relnamespace = ${SCHEMA} and i.indisunique and c.relrowsecurity
     group by i.indexrelid, c.relname
     having not bool_or(a.attname in ('application_id', 'issuer_id', 'partner_id')) and not bool_or(a.atttypid = 'uuid'::regtype)
     order by 1`,
  );
  expect(keys).toEqual([
    'api_key (key_id)',
    'application (client_id)',
    'event (dedupe_key)',
    'session (hosted_token_sha256)',
  ]);
});

it('gives each role what is listed, column by column, and nothing to everybody', async () => {
  const { rows } = await database.pool.query<{ relation: string; column: string; role: string; granted: string[] }>(
    `select c.relname as relation, a.attname as column, r.role, array(
       select privilege from unnest(array['select', 'insert', 'update', 'references']) privilege
       where has_column_privilege('handoff_' || r.role, c.oid, a.attnum, privilege)) as granted
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       cross join unnest($1::text[]) r(role)
     where c.relnamespace = ${SCHEMA} and c.relkind in ('r', 'v') and c.relname <> 'test_clock'`,
    [OPERATIONS],
  );
  const listed = new Map(OPERATIONS.map((operation) => [operation as string, listedPrivileges(operation)]));
  const wrong = rows.flatMap(({ relation, column: name, role, granted }) => {
    const commands = listed.get(role)?.get(relation);
    const wanted = ['select', 'insert', 'update'].filter((command) => {
      const columns = commands?.get(command);
      return columns?.has('*') === true || columns?.has(name) === true;
    });
    return granted.join() === wanted.join() ? [] : [{ role, relation, name, granted, wanted }];
  });
  expect(wrong).toEqual([]);
  expect(rows.length).toBeGreaterThan(OPERATIONS.length * 200);
  const everybodys = await column(
    `select relname from pg_class cross join lateral aclexplode(relacl) acl
     where relnamespace = ${SCHEMA} and acl.grantee = 0 and relname <> 'test_clock'`,
  );
  expect(everybodys).toEqual([]);
});

it('refuses each role every command on every table that is not listed, and to all to empty a table', async () => {
  const tables = [...Object.keys(TABLES), ...Object.keys(UNPOLICED)];
  await database.pool.query(`create function try_as(role text, statement text) returns text language plpgsql as $$
    begin
      execute format('set local role %I', role);
      execute statement;
      reset role;
      return 'done';
    exception when others then
      return sqlstate;
    end $$`);
  const one = Object.fromEntries(
    (
      await database.pool.query<{ name: string; column: string }>(
        `select c.relname as name, a.attname as column from pg_class c join pg_attribute a on a.attrelid = c.oid
         where a.attnum > 0 and c.relnamespace = ${SCHEMA} and not a.attisdropped and a.attidentity = '' order by a.attnum desc`,
      )
    ).rows.map(({ name, column: first }) => [name, first]),
  );
  const wrong: unknown[] = [];
  for (const operation of OPERATIONS) {
    const listed = listedPrivileges(operation);
    const tries = tables.flatMap((table) =>
      [...COMMANDS, 'truncate'].map((command) => {
        const columns = [...(listed.get(table)?.get(command) ?? [])];
        const name = columns.length === 0 || columns[0] === '*' ? one[table] : columns[0];
        const statement = {
          select: `select "${name}" from ${table} limit 0`,
          insert: `insert into ${table} ("${name}") select null where false`,
          update: `update ${table} set "${name}" = default where false`,
          delete: `delete from ${table} where false`,
          truncate: `truncate ${table} cascade`,
        }[command];
        return { table, command, statement, allowed: columns.length > 0 };
      }),
    );
    const { rows } = await database.pool.query<{ outcome: string }>(
      `select try_as($1, statement) as outcome from unnest($2::text[]) with ordinality t(statement, nth) order by nth`,
      [`handoff_${operation}`, tries.map(({ statement }) => statement)],
    );
    for (const [index, { table, command, allowed }] of tries.entries()) {
      const outcome = rows[index]?.outcome;
      if (outcome !== (allowed ? 'done' : '42501')) wrong.push({ operation, table, command, allowed, outcome });
    }
  }
  expect(wrong).toEqual([]);
});

it('lets nobody change or take away what happened', () => {
  for (const operation of OPERATIONS) {
    const commands = [...(listedPrivileges(operation).get('event')?.keys() ?? [])];
    expect(commands.filter((command) => command !== 'select' && command !== 'insert')).toEqual([]);
  }
});
