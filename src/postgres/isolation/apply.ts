import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { CATALOG, DATABASE_PRIVILEGES } from './catalog.ts';
import { isolationStatements, LOGIN_MEMBERSHIPS, ROLE_NAMES, ROLE_MEMBERSHIPS } from './statements.ts';

const STATEMENTS = isolationStatements();

const DIGEST = createHash('sha256').update(STATEMENTS).digest('hex');

/** What the database remembers as the comment on a function of the listing: which one was applied, and what came of it. */
const markOf = (catalog: string) => `isolation ${DIGEST} ${catalog}`;

/** Roles are the cluster's: somebody else may have made or changed the same one at the same moment. */
const MET_ANOTHER = new Set(['42710', '23505', 'XX000', '40P01', '55P03']);
const MAX_TRIES = 20;

/**
 * Brings roles, grants and policies of a migrated database to this build's listing, and takes from the listed roles and
 * logins what it does not say. Touches no table where all is as it was left. Safe to run from several processes and for
 * several databases of a cluster at once.
 *
 * @param databaseUrl of the role that owns the tables; it makes missing roles when it has CREATEROLE
 * @throws with a sentence that says what a superuser has to run, when it may not do it
 */
export async function applyIsolation(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'handoff-migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await again(() => makeRoles(client));
    await again(() => applyListing(client));
  } finally {
    await client.end();
  }
}

/** Creates the roles that are missing, and gives listed roles and logins the memberships that they should have, and no others. */
async function makeRoles(client: Client): Promise<void> {
  for (const statement of await roleChanges(client)) {
    try {
      await client.query(statement);
    } catch (error) {
      if ((error as { code?: unknown }).code !== '42501') throw error;
      const rest = await roleChanges(client);
      throw new Error(
        `the role in DATABASE_URL may not manage roles; let a superuser run this, and migrate again:\n${rest.join(';\n')};`,
        { cause: error },
      );
    }
  }
}

interface Membership {
  readonly member: string;
  readonly role: string;
  readonly grantor: string;
  readonly set: boolean;
  readonly inherit: boolean;
  readonly admin: boolean;
}

/** Statements that bring the cluster's roles to the listing. */
async function roleChanges(client: Client): Promise<string[]> {
  const logins = [...new Set(LOGIN_MEMBERSHIPS.map(([login]) => login))];
  const { rows: roles } = await client.query<{ name: string; isUser: boolean; isSuperuser: boolean }>(
    `select rolname as name, rolname = current_user as "isUser", rolsuper as "isSuperuser" from pg_roles
     where rolname = any ($1) or rolname = current_user`,
    [[...ROLE_NAMES, ...logins]],
  );
  const { rows: memberships } = await client.query<Membership>(
    `select m.rolname as member, r.rolname as role, g.rolname as grantor, a.set_option as set, a.inherit_option as inherit,
       a.admin_option as admin
     from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
       join pg_roles g on g.oid = a.grantor
     where m.rolname = any ($1) or m.rolname = current_user`,
    [[...ROLE_NAMES, ...logins]],
  );
  const exists = new Set(roles.map(({ name }) => name));
  const me = roles.find(({ isUser }) => isUser);
  const mine = me === undefined || me.isSuperuser ? [] : ROLE_NAMES.map((role) => [me.name, role] as const);
  // To be taken on one at a time; nothing of them is a login's at all times.
  const takenOn = LOGIN_MEMBERSHIPS.filter(([login]) => exists.has(login) && login !== me?.name);
  const listed = new Set([...ROLE_MEMBERSHIPS.map(pairOf('inherit')), ...takenOn.map(pairOf('set'))]);
  const isListed = ({ member, role, set, inherit, admin }: Membership) =>
    set !== inherit && !admin && listed.has(pairOf(set ? 'set' : 'inherit')([member, role]));
  const [kept, unlisted] = [
    memberships.filter((one) => one.member === me?.name || isListed(one)),
    memberships.filter((one) => one.member !== me?.name && !isListed(one)),
  ];
  const has = new Set(
    kept.flatMap(({ member, role, set, inherit }) => [
      ...(set ? [pairOf('set')([member, role])] : []),
      ...(inherit ? [pairOf('inherit')([member, role])] : []),
    ]),
  );
  const missing = (pairs: readonly (readonly [string, string])[], option: 'set' | 'inherit') =>
    pairs.filter((pair) => !has.has(pairOf(option)(pair)));
  return [
    ...ROLE_NAMES.filter((role) => !exists.has(role)).map((role) => `create role ${role} nologin`),
    ...unlisted.map(
      ({ member, role, grantor }) =>
        `revoke ${escapeIdentifier(role)} from ${escapeIdentifier(member)} granted by ${escapeIdentifier(grantor)} cascade`,
    ),
    ...missing(ROLE_MEMBERSHIPS, 'inherit').map(
      ([member, role]) => `grant ${role} to ${member} with inherit true, set false`,
    ),
    ...missing([...mine, ...takenOn], 'set').map(
      ([login, role]) => `grant ${role} to ${escapeIdentifier(login)} with inherit false, set true`,
    ),
  ];
}

function pairOf(option: 'set' | 'inherit') {
  return ([member, role]: readonly [member: string, role: string]): string => [member, role, option].join(' ');
}

async function applyListing(client: Client): Promise<void> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '5s'`);
    // One at a time. No login of a process may lock it, as it could an advisory lock.
    await client.query('lock table schema_migration in share row exclusive mode');
    await client.query(`select set_config('search_path', format('%I, pg_temp', current_schema()), true)`);
    await client.query(DATABASE_PRIVILEGES);
    const { rows } = await client.query<{ mark: string | null }>(
      `select obj_description(to_regprocedure('handoff_tenant()'), 'pg_proc') as mark`,
    );
    if (rows[0]?.mark !== markOf(await catalogOf(client))) {
      await client.query(STATEMENTS);
      await client.query(`comment on function handoff_tenant() is '${markOf(await catalogOf(client))}'`);
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

async function catalogOf(client: Client): Promise<string> {
  const { rows } = await client.query<{ digest: string }>(CATALOG);
  return rows[0]?.digest ?? '';
}

async function again(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (attempt >= MAX_TRIES || typeof code !== 'string' || !MET_ANOTHER.has(code)) throw error;
      await sleep(50 * Math.random() * attempt);
    }
  }
}
