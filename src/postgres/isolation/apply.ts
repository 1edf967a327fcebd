import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { isolationStatements, LOGIN_MEMBERSHIPS, ROLE_NAMES, ROLE_MEMBERSHIPS } from './statements.ts';

/** Any number: whoever applies the listing to a database does it alone. */
const LOCK = 7_316_254;

const STATEMENTS = isolationStatements();

/** What the database remembers of the listing that was applied last, as the comment on a function of it. */
const MARK = `isolation ${createHash('sha256').update(STATEMENTS).digest('hex')}`;

/** Roles are the cluster's: somebody else may have made or changed the same one at the same moment. */
const MET_ANOTHER = new Set(['42710', '23505', 'XX000', '40P01', '55P03']);
const MAX_TRIES = 20;

/**
 * Brings roles, grants and policies of a migrated database to this build's listing. Safe to run from several processes
 * and for several databases of a cluster at once.
 *
 * @param databaseUrl of the role that owns the tables; it makes missing roles when it has CREATEROLE
 * @param always also when the listing was applied before: migrations may have made tables since
 * @throws with a sentence that says what a superuser has to run, when it may not do it
 */
export async function applyIsolation(databaseUrl: string, always: boolean): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'handoff-migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await again(() => makeRoles(client));
    await again(() => applyListing(client, always));
  } finally {
    await client.end();
  }
}

/** Creates the roles that are missing, and makes members of them who should be: their logins, and the migrating role. */
async function makeRoles(client: Client): Promise<void> {
  for (const statement of await missingRoles(client)) {
    try {
      await client.query(statement);
    } catch (error) {
      if ((error as { code?: unknown }).code !== '42501') throw error;
      const rest = await missingRoles(client);
      throw new Error(
        `the role in DATABASE_URL may not manage roles; let a superuser run this, and migrate again:\n${rest.join(';\n')};`,
        { cause: error },
      );
    }
  }
}

/** Statements that bring the cluster's roles to the listing. */
async function missingRoles(client: Client): Promise<string[]> {
  const { rows: roles } = await client.query<{ name: string; isUser: boolean; isSuperuser: boolean }>(
    `select rolname as name, rolname = current_user as "isUser", rolsuper as "isSuperuser" from pg_roles
     where rolname = any ($1) or rolname = current_user`,
    [[...ROLE_NAMES, ...LOGIN_MEMBERSHIPS.map(([login]) => login)]],
  );
  const { rows: memberships } = await client.query<{ pair: string }>(
    `select concat_ws(' ', m.rolname, r.rolname, case when a.set_option then 'set' else 'inherit' end) as pair
     from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
     where a.set_option or a.inherit_option`,
  );
  const exists = new Set(roles.map(({ name }) => name));
  const has = new Set(memberships.map(({ pair }) => pair));
  const me = roles.find(({ isUser }) => isUser);
  const mine = me === undefined || me.isSuperuser ? [] : ROLE_NAMES.map((role) => [me.name, role] as const);
  const missing = (pairs: readonly (readonly [string, string])[], option: 'set' | 'inherit') =>
    pairs.filter(([member, role]) => !has.has(`${member} ${role} ${option}`));
  return [
    ...ROLE_NAMES.filter((role) => !exists.has(role)).map((role) => `create role ${role} nologin`),
    ...missing(ROLE_MEMBERSHIPS, 'inherit').map(
      ([member, role]) => `grant ${role} to ${member} with inherit true, set false`,
    ),
    // To be taken on one at a time; nothing of them is a login's at all times.
    ...missing([...mine, ...LOGIN_MEMBERSHIPS.filter(([login]) => exists.has(login))], 'set').map(
      ([login, role]) => `grant ${role} to ${escapeIdentifier(login)} with inherit false, set true`,
    ),
  ];
}

async function applyListing(client: Client, always: boolean): Promise<void> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '5s'`);
    await client.query(`select pg_advisory_xact_lock(${LOCK})`);
    const { rows } = await client.query<{ mark: string | null }>(
      `select obj_description(to_regprocedure('handoff_tenant()'), 'pg_proc') as mark`,
    );
    if (always || rows[0]?.mark !== MARK) {
      await client.query(STATEMENTS);
      await client.query(`comment on function handoff_tenant() is '${MARK}'`);
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
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
