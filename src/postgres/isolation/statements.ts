import { ENDINGS, LOOKUPS, SETTINGS } from './functions.ts';
import { LOGINS, ROLES, type Base, type Grants, type RoleListing } from './roles.ts';
import { TABLES, UNPOLICED, type Command, type Rows } from './tables.ts';

/** Group role that transactions of an operation run as. */
export function roleName(operation: string): string {
  return `handoff_${operation}`;
}

const LISTED: Readonly<Record<string, RoleListing>> = ROLES;

/** Has every tenant's rows, and no privilege on any table: those bring the operations that act for no tenant. */
const ACROSS = roleName('across');

/** Has the rows of the tenant that the transaction names, and no privilege on any table. */
const OWN = roleName('own');

/** Every group role, that of tenants first. */
export const ROLE_NAMES: readonly string[] = [...Object.keys(LISTED).map(roleName), OWN, ACROSS];

/** A login and the roles that it may take on. */
export const LOGIN_MEMBERSHIPS: readonly (readonly [login: string, role: string])[] = Object.entries(LOGINS).flatMap(
  ([login, operations]) => operations.map((operation) => [login, roleName(operation)] as const),
);

const BASES: Readonly<Record<Base, string | null>> = {
  tenant: roleName('tenant'),
  own: OWN,
  onboarding: roleName('onboarding'),
  nothing: null,
};

/** Roles that have all that another one has: another operation's, or the rows of one tenant or of all. */
export const ROLE_MEMBERSHIPS: readonly (readonly [member: string, role: string])[] = Object.entries(LISTED).flatMap(
  ([operation, { base }]) => {
    const role = base === undefined ? ACROSS : BASES[base];
    return role === null ? [] : [[roleName(operation), role] as const];
  },
);

/** The whole listing as SQL, for the schema that the migrating role creates in. Repeating it changes nothing. */
export function isolationStatements(): string {
  const everyRole = ROLE_NAMES.join(', ');
  const everyTable = [...Object.keys(TABLES), ...Object.keys(UNPOLICED)].join(', ');
  const logins = Object.keys(LOGINS).map((login) => `'${login}'`);
  const lookup = roleName('lookup');
  const callers = ROLE_NAMES.filter((role) => role !== lookup).join(', ');
  return [
    `do $$
     declare
       it record;
       logins text := (select string_agg(quote_ident(rolname), ', ') from pg_roles
         where rolname in (${logins.join(', ')}) and rolname <> current_user);
       everybody text := concat_ws(', ', '${everyRole}', logins);
     begin
       execute format('set local search_path = %I, pg_temp', current_schema());
       execute format('revoke all on schema %I from %s', current_schema(), everybody);
       -- Those of an extension, or of somebody else, are not ours to grant.
       for it in select oid::regclass as named, case relkind when 'S' then 'sequence' else 'table' end as kind from pg_class
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
           and pg_has_role(relowner, 'usage') loop
         execute format('revoke all on %s %s from %s', it.kind, it.named, everybody);
       end loop;
       for it in select oid::regprocedure as named from pg_proc
         where pronamespace = current_schema()::regnamespace and pg_has_role(proowner, 'usage') and logins is not null loop
         execute format('revoke all on routine %s from %s', it.named, logins);
       end loop;
       execute format('grant usage on schema %I to ${everyRole}', current_schema());
       execute format('grant create on schema %I to ${lookup}', current_schema());
       for it in select tablename, policyname from pg_policies where schemaname = current_schema() loop
         execute format('drop policy %I on %I', it.policyname, it.tablename);
       end loop;
     end $$`,
    `revoke all on ${everyTable} from public`,
    SETTINGS,
    ENDINGS,
    `set local role ${lookup}`,
    LOOKUPS,
    // Policies call them as whoever they are for.
    `do $$
     declare
       it record;
       logins text := (select string_agg(quote_ident(rolname), ', ') from pg_roles where rolname in (${logins.join(', ')}));
     begin
       for it in select oid::regprocedure as called from pg_proc where proowner = '${lookup}'::regrole loop
         execute format('revoke execute on function %s from %s', it.called, concat_ws(', ', 'public, ${callers}', logins));
         execute format('grant execute on function %s to ${OWN}', it.called);
       end loop;
     end $$`,
    'reset role',
    `do $$ begin execute format('revoke create on schema %I from ${lookup}', current_schema()); end $$`,
    // Runs for whoever takes references away, which needs no right to call it; only this may have objects looked at.
    'alter function look_at_media_objects() security definer',
    'alter function look_at_media_objects() set search_path from current',
    // Whoever may call what runs as its owner can also put it on a table, or under a cast, of their own.
    `do $$
     declare it record;
     begin
       for it in select oid::regprocedure as called from pg_proc
         where pronamespace = current_schema()::regnamespace and prosecdef and proowner <> '${lookup}'::regrole
           and pg_has_role(proowner, 'usage') loop
         execute format('revoke execute on function %s from public, ${everyRole}', it.called);
       end loop;
     end $$`,
    ...Object.entries(LISTED).flatMap(([operation, { grants }]) => grantsTo(roleName(operation), grants)),
    ...Object.entries(TABLES).flatMap(([table, whose]) => [
      `alter table ${table} enable row level security, force row level security`,
      ...policiesFor(OWN, table, whose),
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
