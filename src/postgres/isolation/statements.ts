import { LOOKUPS, SETTINGS } from './functions.ts';
import { LOGINS, ROLES, type Grants, type RoleListing } from './roles.ts';
import { TABLES, UNPOLICED, type Command, type Rows } from './tables.ts';

/** Group role that transactions of an operation run as. */
export function roleName(operation: string): string {
  return `handoff_${operation}`;
}

const LISTED: Readonly<Record<string, RoleListing>> = ROLES;

/** Has every tenant's rows, and no privilege on any table: those bring the operations that act for no tenant. */
const ACROSS = roleName('across');

/** Every group role, that of tenants first. */
export const ROLE_NAMES: readonly string[] = [...Object.keys(LISTED).map(roleName), ACROSS];

/** A login and the roles that it may take on. */
export const LOGIN_MEMBERSHIPS: readonly (readonly [login: string, role: string])[] = Object.entries(LOGINS).flatMap(
  ([login, operations]) => operations.map((operation) => [login, roleName(operation)] as const),
);

/** Roles that have all that another one has: the role of tenants, or the rows of all of them. */
export const ROLE_MEMBERSHIPS: readonly (readonly [member: string, role: string])[] = Object.entries(LISTED)
  .filter(([operation]) => operation !== 'tenant')
  .map(([operation, { asTenant }]) => [roleName(operation), asTenant === true ? roleName('tenant') : ACROSS] as const);

/** The whole listing as SQL, for the schema that the migrating role creates in. Repeating it changes nothing. */
export function isolationStatements(): string {
  const everyRole = ROLE_NAMES.join(', ');
  const lookup = roleName('lookup');
  return [
    `do $$
     declare it record;
     begin
       execute format('set local search_path = %I, pg_temp', current_schema());
       execute format('revoke all on all tables in schema %I from ${everyRole}', current_schema());
       execute format('grant usage on schema %I to ${everyRole}', current_schema());
       execute format('grant create on schema %I to ${lookup}', current_schema());
       for it in select tablename, policyname from pg_policies where schemaname = current_schema() loop
         execute format('drop policy %I on %I', it.policyname, it.tablename);
       end loop;
     end $$`,
    SETTINGS,
    `set local role ${lookup}`,
    LOOKUPS,
    // Policies call them as whoever they are for.
    `do $$
     declare it record;
     begin
       for it in select oid::regprocedure as called from pg_proc where proowner = '${lookup}'::regrole loop
         execute format('revoke execute on function %s from public', it.called);
         execute format('grant execute on function %s to ${roleName('tenant')}', it.called);
       end loop;
     end $$`,
    'reset role',
    `do $$ begin execute format('revoke create on schema %I from ${lookup}', current_schema()); end $$`,
    // Runs for whoever takes references away; only this may have objects looked at.
    'alter function look_at_media_objects() security definer',
    'alter function look_at_media_objects() set search_path from current',
    ...Object.entries(LISTED).flatMap(([operation, { grants }]) => grantsTo(roleName(operation), grants)),
    ...Object.entries(TABLES).flatMap(([table, whose]) => [
      `alter table ${table} enable row level security, force row level security`,
      ...policiesFor(roleName('tenant'), table, whose),
      // One for all of them: each policy of a table costs every statement on it, whoever it is for.
      ...policiesFor(ACROSS, table, 'true'),
      ...Object.entries(LISTED).flatMap(([operation, { rows }]) =>
        policiesFor(roleName(operation), table, rows?.[table] ?? {}),
      ),
    ]),
    ...Object.keys(UNPOLICED).map(
      (table) => `alter table ${table} no force row level security, disable row level security`,
    ),
  ].join(';\n');
}

function grantsTo(role: string, grants: Grants): string[] {
  return Object.entries(grants).map(([table, privileges]) => `grant ${privileges} on ${table} to ${role}`);
}

function policiesFor(role: string, table: string, rows: Rows): string[] {
  if (typeof rows === 'string') return [`create policy ${role} on ${table} to ${role} using (${rows})`];
  return Object.entries(rows).map(
    ([command, condition]) =>
      `create policy ${role}_${command} on ${table} ${CLAUSES[command as Command](role, condition)}`,
  );
}

const CLAUSES: Readonly<Record<Command, (role: string, condition: string) => string>> = {
  select: (role, condition) => `for select to ${role} using (${condition})`,
  insert: (role, condition) => `for insert to ${role} with check (${condition})`,
  update: (role, condition) => `for update to ${role} using (${condition})`,
  delete: (role, condition) => `for delete to ${role} using (${condition})`,
  // Who may lock a row may not change it.
  lock: (role, condition) => `for update to ${role} using (${condition}) with check (false)`,
};
