import { LOGINS } from './roles.ts';
import { ROLE_NAMES } from './statements.ts';

const SCHEMA = 'current_schema()::regnamespace';

/** Digest of whatever the listing is responsible for, as the database has it: owners, privileges, policies, functions, triggers. */
export const CATALOG = `
select encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' order by line collate "C"), ''), 'UTF8')), 'hex') as digest
from (
  select concat_ws(' ', 'relation', oid::regclass, relowner::regrole, relacl, relrowsecurity, relforcerowsecurity) as line
  from pg_class where relnamespace = ${SCHEMA} and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  union all
  select concat_ws(' ', 'column', c.oid::regclass, a.attname, a.attacl)
  from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = ${SCHEMA} and a.attacl is not null
  union all
  select concat_ws(' ', 'policy', tablename, policyname, permissive, roles, cmd, qual, with_check)
  from pg_policies where schemaname = current_schema()
  union all
  select concat_ws(' ', 'routine', oid::regprocedure, proowner::regrole, prosecdef, proconfig, proacl, prosrc)
  from pg_proc where pronamespace = ${SCHEMA}
  union all
  select concat_ws(' ', 'trigger', t.tgenabled, pg_get_triggerdef(t.oid))
  from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = ${SCHEMA} and not t.tgisinternal
  union all
  select concat_ws(' ', 'schema', nspname, nspacl) from pg_namespace where oid = ${SCHEMA}
) as catalog`;

const KNOWN = [...ROLE_NAMES, ...Object.keys(LOGINS)].map((role) => `'${role}'`).join(', ');

/** Takes the making of temporary tables from everybody, where the migrating role owns the database. */
export const DATABASE_PRIVILEGES = `
do $$
declare it record;
begin
  for it in
    select distinct d.datname, a.privilege_type, case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee
    from pg_database d cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    where d.datname = current_database() and pg_has_role(d.datdba, 'usage')
      and (a.grantee = 0 or a.grantee in (select oid from pg_roles where rolname in (${KNOWN})))
      and a.privilege_type in ('TEMPORARY', 'CREATE')
  loop
    execute format('revoke %s on database %I from %s', it.privilege_type, it.datname, it.grantee);
  end loop;
end $$`;
