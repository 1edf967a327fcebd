import { TABLES, UNPOLICED, type Command, type Rows } from './tables.ts';
import { LOGINS, ROLES, type Grants, type RoleListing } from './roles.ts';

/** Group role that transactions of an operation run as. */
export function roleName(operation: string): string {
  return `handoff_${operation}`;
}

/** Every group role, that of tenants first. */
export const ROLE_NAMES: readonly string[] = Object.keys(ROLES).map(roleName);

/** A login and the roles that it may take on. */
export const LOGIN_MEMBERSHIPS: readonly (readonly [login: string, role: string])[] = Object.entries(LOGINS).flatMap(
  ([login, operations]) => operations.map((operation) => [login, roleName(operation)] as const),
);

/** Roles that have all that the role of tenants has. */
export const TENANT_MEMBERSHIPS: readonly (readonly [member: string, role: string])[] = Object.entries(listed())
  .filter(([, { asTenant }]) => asTenant === true)
  .map(([operation]) => [roleName(operation), roleName('tenant')] as const);

/**
 * What policies ask: who the transaction acts for, and on which share. Functions of the caller's own rights; the first
 * two are put into queries as text, so that indexes serve them.
 */
const FUNCTIONS = `
create or replace function handoff_tenant() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('handoff.tenant', true), '')::uuid $$;
create or replace function handoff_token() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('handoff.token', true), '')::uuid $$;

-- Both sides of the share that is acted on.
create or replace function handoff_sides() returns uuid[] language plpgsql stable as $$
begin return coalesce(
  (select array[issuer_id, partner_id] from share_token where token_id = handoff_token()),
  (select array[issuer_id, partner_id] from onboarding where token_id = handoff_token()));
end $$;

-- Whether it is the run of an onboarding that acts, for neither side.
create or replace function handoff_is_run() returns boolean language sql stable
  as $$ select handoff_tenant() is null and current_user = 'handoff_onboarding' $$;

-- The source of the share that is acted on: for its partner, while the token is open, and for its run.
create or replace function handoff_source() returns uuid language plpgsql stable as $$
begin return (
  select coalesce(
    (select t.session_id from share_token t
     where t.token_id = handoff_token() and t.closed_at is null
       and (t.partner_id = handoff_tenant() or handoff_is_run())),
    (select o.session_id from onboarding o
     where o.token_id = handoff_token() and o.ended_at is null and handoff_is_run())));
end $$;

-- The people that the source names: by their sessions, and by the issuer's own words for them.
create or replace function handoff_people() returns uuid[] language plpgsql stable as $$
begin return array(
  select person_session_id from session_person where session_id = handoff_source() and person_session_id is not null);
end $$;
create or replace function handoff_people_named() returns text[] language plpgsql stable as $$
begin return array(
  select reference from session_person where session_id = handoff_source() and reference is not null);
end $$;

-- What a redemption of this very transaction may copy: the source and its people.
create or replace function handoff_redeemed() returns uuid[] language plpgsql stable as $$
begin return (
  select array[r.source_session_id] || array(
    select person_session_id from session_person_found
    where session_id = r.source_session_id and person_session_id is not null)
  from redemption r
  where r.token_id = handoff_token() and r.partner_id = handoff_tenant() and r.source_session_id = handoff_source()
    and r.xmin = pg_current_xact_id()::xid);
end $$;

-- Runs for whoever takes references away; only this may have objects looked at.
alter function look_at_media_objects() security definer;
`;

/** The whole listing as SQL, for the schema that the migrating role creates in. Repeating it changes nothing. */
export function isolationStatements(): string {
  const everyRole = ROLE_NAMES.join(', ');
  return [
    FUNCTIONS,
    `do $$
     declare it record;
     begin
       execute format('alter function look_at_media_objects() set search_path = %I, pg_temp', current_schema());
       execute format('revoke all on all tables in schema %I from ${everyRole}', current_schema());
       execute format('grant usage on schema %I to ${everyRole}', current_schema());
       for it in select tablename, policyname from pg_policies where schemaname = current_schema() loop
         execute format('drop policy %I on %I', it.policyname, it.tablename);
       end loop;
     end $$`,
    ...Object.entries(listed()).flatMap(([operation, { grants }]) => grantsTo(roleName(operation), grants)),
    ...Object.entries(TABLES).flatMap(([table, whose]) => [
      `alter table ${table} enable row level security, force row level security`,
      ...policiesFor(roleName('tenant'), table, whose),
      ...Object.entries(listed()).flatMap(([operation, listing]) => policiesOf(operation, listing, table)),
    ]),
    ...Object.keys(UNPOLICED).map(
      (table) => `alter table ${table} no force row level security, disable row level security`,
    ),
  ].join(';\n');
}

function listed(): Readonly<Record<string, RoleListing>> {
  return ROLES;
}

function grantsTo(role: string, grants: Grants): string[] {
  return Object.entries(grants).map(([table, privileges]) => `grant ${privileges} on ${table} to ${role}`);
}

/** An operation's own policies: all rows, unless it acts as a tenant or its listing says which. */
function policiesOf(operation: string, { asTenant, grants, rows }: RoleListing, table: string): string[] {
  if (operation === 'tenant') return [];
  const own = rows?.[table];
  if (own !== undefined) return policiesFor(roleName(operation), table, own);
  return asTenant !== true && table in grants ? policiesFor(roleName(operation), table, 'true') : [];
}

function policiesFor(role: string, table: string, rows: Rows): string[] {
  if (typeof rows === 'string') return [`create policy ${role} on ${table} to ${role} using (${rows})`];
  return Object.entries(rows).map(([command, condition]) => policy(role, table, command as Command, condition));
}

function policy(role: string, table: string, command: Command, condition: string): string {
  return `create policy ${role}_${command} on ${table} ${CLAUSES[command](role, condition)}`;
}

const CLAUSES: Readonly<Record<Command, (role: string, condition: string) => string>> = {
  select: (role, condition) => `for select to ${role} using (${condition})`,
  insert: (role, condition) => `for insert to ${role} with check (${condition})`,
  update: (role, condition) => `for update to ${role} using (${condition})`,
  delete: (role, condition) => `for delete to ${role} using (${condition})`,
  // Who may lock a row may not change it.
  lock: (role, condition) => `for update to ${role} using (${condition}) with check (false)`,
};
