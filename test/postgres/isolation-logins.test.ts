import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Pool } from 'pg';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporalNamespace } from '../../src/client.ts';
import { startCodecServer } from '../../src/codec-server.ts';
import { readCodecServerConfig } from '../../src/config.ts';
import { createDatabase, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/dev/embedded-database.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import { runKeys } from '../../src/keys.ts';
import { LOGINS, ROLES } from '../../src/postgres/isolation/roles.ts';
import { TABLES, UNPOLICED } from '../../src/postgres/isolation/tables.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { testContentEnv } from '../support/app-parts.ts';
import { listedPrivileges } from '../support/isolation.ts';
import { KID, newBrand, userDocument, verbs, type LabBrand } from '../support/share-lab.ts';
import { nameKeys } from '../support/signing-keys.ts';

/** A Postgres as a deployment has it: the logins of `docker/postgres-roles.sh`, and an owner that is no superuser. */
let postgres: EmbeddedPostgres;
let folder: string;
const password = randomBytes(12).toString('hex');
const urlOf = (login: string, database = 'handoff') => {
  const url = new URL(postgres.url(database));
  url.username = login;
  url.password = password;
  return url.href;
};

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows ?? [];
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'handoff-logins-'));
  await chmod(folder, 0o711);
  postgres = await startEmbeddedPostgres({ dataFolder: join(folder, 'postgres'), durable: false });
  const script = readFileSync(new URL('../../docker/postgres-roles.sh', import.meta.url), 'utf8');
  for (const [, statements = ''] of script.matchAll(/<<'SQL'\n(.*?)\nSQL/gs)) {
    for (const statement of statements.replaceAll(/:'\w+'/g, `'${password}'`).split(';\n')) {
      await query(postgres.url('postgres'), statement);
    }
  }
  await migrate(urlOf('handoff'));
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

/** What becomes of each statement, one after the other, for one login. */
async function outcomes(url: string, statements: readonly string[]): Promise<string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const found: string[] = [];
    for (const statement of statements) {
      found.push(
        await client.query(statement).then(
          () => 'done',
          (error: Error) => error.message,
        ),
      );
      await client.query('rollback');
    }
    return found;
  } finally {
    await client.end();
  }
}

const EVENT = (changes: Readonly<Record<string, string>>) => {
  const columns = {
    event_id: `'${randomUUID()}'`,
    application_id: `'${PLATFORM_ID}'`,
    type: `'temporal.decoded'`,
    subject_id: 'gen_random_uuid()',
    actor_kind: `'operator'`,
    salt: `''`,
    ...changes,
  };
  const row = { dedupe_key: `${columns.type} || ':' || ${columns.event_id}`, ...columns };
  return `insert into event (${Object.keys(row).join(', ')}) values (${Object.values(row).join(', ')})`;
};

const FORGERIES = {
  CODEC_EVENT: EVENT({}),
  ofTenant: EVENT({ application_id: 'gen_random_uuid()' }),
  ofAnotherKind: EVENT({ type: `'signing_key.removed'` }),
  withAnothersKey: EVENT({ dedupe_key: `gen_random_uuid() || ':share.imported:' || gen_random_uuid()` }),
  backDated: EVENT({ created_at: `'2020-01-01'` }),
  queued: 'insert into audit_unsealed (application_id, event_id) values (gen_random_uuid(), gen_random_uuid())',
};

const SETS_ROLE = (operation: string) => `begin; set local role handoff_${operation}; rollback`;

describe.each(Object.keys(LOGINS))('%s', (login) => {
  it('takes on the roles of its work, and no other', async () => {
    const others = ['across', ...Object.keys(LOGINS).map((other) => other.replace('handoff_', ''))].filter(
      (other) => `handoff_${other}` !== login,
    );
    const operations = [...Object.keys(ROLES), ...others];
    const found = await outcomes(urlOf(login), [...operations.map(SETS_ROLE), 'set role handoff', 'set role postgres']);
    const taken = operations.filter((_, index) => found[index] === 'done');
    expect(taken.toSorted()).toEqual([...(LOGINS[login] ?? [])].toSorted());
    const refused = found.filter((outcome) => outcome !== 'done');
    expect(refused.filter((outcome) => !outcome.includes('permission denied to set role'))).toEqual([]);
  });

  it('may do nothing without a role', async () => {
    const tables = [...Object.keys(TABLES), ...Object.keys(UNPOLICED)];
    const statements = [
      ...tables.map((table) => `select from ${table}`),
      'create table mine ()',
      'create temp table mine ()',
      'create schema mine',
      'create role mine',
    ];
    const found = await outcomes(urlOf(login), statements);
    expect(found.filter((outcome) => !outcome.includes('permission denied'))).toEqual([]);
    expect(found).toHaveLength(tables.length + 4);
  });
});

it('has no function of the owner that a login could put under a table of its own', async () => {
  const admin = postgres.url('handoff');
  await query(admin, 'grant temporary on database handoff to handoff_codec_server');
  const found = await outcomes(urlOf('handoff_codec_server'), [
    'create temp table mine (object_key text)',
    `create trigger mine after delete on mine referencing old table as gone for each statement
       execute function public.look_at_media_objects()`,
  ]);
  expect(found).toEqual(['done', 'permission denied for function public.look_at_media_objects']);
  // What was granted by hand is gone with the next migration.
  await migrate(urlOf('handoff'));
  expect(await outcomes(urlOf('handoff_codec_server'), ['create temp table mine ()'])).toEqual([
    'permission denied to create temporary tables in database "handoff"',
  ]);
});

it('lets the fetcher of files tell that one was fetched, and nothing else', async () => {
  const fetched = {
    application_id: 'gen_random_uuid()',
    type: `'session.changed'`,
    reason: `'file_fetched'`,
    actor_kind: `'system'`,
  };
  const id = randomUUID();
  const event = (changes: Readonly<Record<string, string>> = {}) =>
    EVENT({ ...fetched, event_id: `'${id}'`, dedupe_key: `'${id}'`, ...changes });
  const found = await outcomes(
    urlOf('handoff_webhooks'),
    [
      event(),
      event({ type: `'session.deleted'` }),
      event({ reason: `'by_hand'` }),
      event({ actor_kind: `'account'` }),
      event({ dedupe_key: `'another'` }),
    ].map((statement) => `begin; set local role handoff_media; ${statement}`),
  );
  const refused = 'new row violates row-level security policy for table "event"';
  expect(found).toEqual(['done', refused, refused, refused, refused]);
});

describe('the codec server with its own login', () => {
  const keys = `k1:${randomBytes(32).toString('base64url')}`;
  const token = randomBytes(32).toString('base64url');
  const ask = async (
    login: string,
    work: (call: (payloads: unknown[]) => Promise<Response>, url: string) => Promise<void>,
  ) => {
    const config = readCodecServerConfig({
      TEMPORAL_CODEC_KEYS: keys,
      DATABASE_URL: urlOf(login),
      CODEC_UI_ORIGIN: 'http://127.0.0.1:8233',
      CODEC_OPERATORS: `ada:${createHash('sha256').update(token).digest('hex')}`,
      CODEC_PORT: String(await freePort()),
    });
    if ('problems' in config) throw new Error(config.problems.join());
    const codec = await startCodecServer(config, pino({ level: 'silent' }));
    const call = (payloads: unknown[]) =>
      fetch(`${codec.url}/decode`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'x-namespace': temporalNamespace(),
        },
        body: JSON.stringify({ payloads }),
      });
    try {
      await work(call, codec.url);
    } finally {
      await codec.close();
    }
  };

  it('decodes, and tells the audit trail', async () => {
    await ask('handoff_codec_server', async (call, url) => {
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect((await call([])).status).toBe(200);
      expect((await call([{ metadata: {}, data: '' }])).status).toBe(200);
    });
    const told = await query(
      postgres.url('handoff'),
      `select actor_kind, actor_id from event where type = 'temporal.decoded'`,
    );
    expect(told).toEqual([{ actor_kind: 'operator', actor_id: 'ada' }]);
  });

  it('writes those two facts of the platform, under keys of their own, at the time of the database, and nothing else', async () => {
    const { CODEC_EVENT, ...others } = FORGERIES;
    const found = await outcomes(
      urlOf('handoff_codec_server'),
      [CODEC_EVENT, ...Object.values(others)].map((statement) => `begin; set local role handoff_codec; ${statement}`),
    );
    expect(found[0]).toBe('done');
    expect(found.slice(1)).toEqual([
      ...['of a tenant', 'of another kind', 'with another’s key'].map(
        () => 'new row violates row-level security policy for table "event"',
      ),
      'permission denied for table event',
      'new row violates row-level security policy for table "audit_unsealed"',
    ]);
  });

  it('names the role that another login lacks', async () => {
    await query(postgres.url('postgres'), `create role lacks login noinherit password '${password}'`);
    await query(postgres.url('postgres'), 'grant connect on database handoff to lacks');
    await ask('lacks', async (call, url) => {
      const health = await fetch(`${url}/healthz`);
      expect([health.status, await health.json()]).toEqual([
        503,
        {
          status: 'unavailable',
          audit: expect.stringContaining('may not connect, or not take on the role handoff_codec') as string,
        },
      ]);
      for (const payloads of [[], [{ metadata: {}, data: '' }]]) expect((await call(payloads)).status).toBe(503);
      expect(await (await call([])).json()).toMatchObject({
        detail: expect.stringContaining('handoff_codec_server') as string,
      });
    });
  });
});

it.each([
  ['handoff_server', 'may not connect, or not take on the role handoff_keys (42501): it needs handoff'],
  ['nobody', 'does not let that login in (28P01)'],
])('npm run keys as %s says which login it needs', async (login, said) => {
  const complaints: string[] = [];
  const env = { ...testContentEnv(), DATABASE_URL: urlOf(login) };
  const code = await runKeys(['status'], env, { print: () => undefined, complain: (text) => complaints.push(text) });
  expect(code).toBe(1);
  expect(complaints.join()).toContain(said);
});

/** Logins whose operations may do something with a column, by all that these have. */
const reach = (table: string, command: string, column = '*') =>
  Object.keys(LOGINS).filter((login) =>
    (LOGINS[login] ?? []).some((operation) => {
      const columns = listedPrivileges(operation).get(table)?.get(command);
      return columns !== undefined && (columns.has('*') || columns.has(column) || (column === '*' && columns.size > 0));
    }),
  );

it('keeps secrets where they are used', () => {
  expect(reach('webhook_secret', 'select', 'sealed')).toEqual(['handoff_server', 'handoff_webhooks']);
  expect(reach('signing_key', 'select', 'sealed')).toEqual(['handoff_server', 'handoff_webhooks']);
  expect(reach('api_key', 'select', 'secret_sha256')).toEqual(['handoff_server']);
  expect(reach('ingest_secret', 'select', 'sealed')).toEqual(['handoff_server']);
  expect(reach('account', 'select', 'password_hash')).toEqual(['handoff_server']);
  expect(reach('session', 'update', 'hosted_token_sha256')).toEqual(['handoff_server']);
});

it('leaves to the server alone what only calls of the API change', () => {
  for (const [table, command, column] of [
    ['webhook_destination', 'insert'],
    ['webhook_destination', 'update', 'url'],
    ['webhook_destination', 'update', 'payload_mode'],
    ['webhook_secret', 'insert'],
    ['webhook_secret', 'update'],
    ['webhook_secret', 'delete'],
    ['ingest_secret', 'insert'],
    ['ingest_secret', 'update'],
    ['ingest_secret', 'delete'],
    ['session', 'delete'],
    ['session', 'update', 'status'],
    ['session_check', 'update'],
    ['session_check', 'delete'],
    ['entity_comment', 'select'],
    ['verification_workflow', 'update'],
    ['verification_workflow', 'delete'],
    ['application', 'update', 'deleted_at'],
    ['api_key', 'insert'],
    ['account', 'update'],
  ] as const) {
    expect(reach(table, command, column), `${command} ${table} ${column ?? ''}`).toEqual(['handoff_server']);
  }
});

describe('a deployment whose logins are members of their roles alone', () => {
  let server: Tenants;
  let worker: Tenants;
  let owner: Pool;
  let brands: [LabBrand, LabBrand];
  beforeAll(async () => {
    server = createTenants({ databaseUrl: urlOf('handoff_server') });
    worker = createTenants({ databaseUrl: urlOf('handoff_worker') });
    owner = new Pool({ connectionString: urlOf('handoff'), max: 4 });
    await server.acrossTenants('secrets', async (sql) => nameKeys(sql, { activeKid: KID, kids: [KID] }));
    brands = [await newBrand(server), await newBrand(server)];
  });
  afterAll(async () => {
    await Promise.all([server.close(), worker.close(), owner.end()]);
  });

  it('shares, imports and deletes', async () => {
    const [issuer, partner] = brands;
    const [calls, runs] = [verbs(server, { issuer, partner }), verbs(worker, { issuer, partner })];
    const source = await calls.takeIn(userDocument());
    const { tokenId } = await calls.mint(source);
    const { sessionId } = await calls.redeem(tokenId);
    expect(await calls.decision(partner, sessionId)).toMatchObject({ session_id: sessionId });
    await calls.remove(partner, sessionId);
    expect(await calls.decision(partner, sessionId)).toBeNull();

    const onboarding = await calls.open(source);
    await runs.runMint(onboarding);
    await calls.acknowledge(onboarding);
    expect(await runs.runImport(onboarding)).toMatchObject({ state: 'redeemed' });
    await calls.remove(issuer, source);
  });

  it('leaves no tenant behind on a connection: 2,000 reads between transactions see no row', async () => {
    const [issuer, partner] = brands;
    await verbs(server, { issuer, partner }).takeIn(userDocument());
    const tenants = createTenants({ databaseUrl: urlOf('handoff'), maxConnections: 4 });
    const unscoped = async () =>
      (await tenants.pool.query<{ count: number }>('select count(*)::int as count from session')).rows[0]?.count;
    const scoped = () =>
      tenants.withTenant(issuer.id, (tx) => tx.query<{ count: number }>('select count(*)::int as count from session'));
    const seen = { unscoped: 0, scoped: 0 };
    for (let round = 0; round < 100; round += 1) {
      const [own, ...reads] = await Promise.all([scoped(), ...Array.from({ length: 20 }, unscoped)]);
      seen.scoped += own[0]?.count === 0 ? 0 : 1;
      seen.unscoped += reads.filter((count) => count !== 0).length;
    }
    await tenants.close();
    expect(seen).toEqual({ unscoped: 0, scoped: 100 });
  });

  it('has an owner that sees no tenant’s row, and whose migrations fail rather than change none', async () => {
    for (const table of Object.keys(TABLES)) {
      expect((await owner.query(`select from ${table}`)).rowCount, table).toBe(0);
    }
    const off = new Client({ connectionString: urlOf('handoff'), options: '-c row_security=off' });
    await off.connect();
    await expect(off.query(`update session set status = 'Declined'`)).rejects.toThrow(/row-level security/);
    await off.end();
  });

  it('is left alone by a migration that finds it as it was left', async () => {
    const before = await policies();
    expect(before.length).toBeGreaterThan(100);
    await migrate(urlOf('handoff'));
    expect(await policies()).toEqual(before);
  });

  it.each([
    ['a role of another’s work', 'grant handoff_keys to handoff_codec_server with inherit false, set true'],
    ['what it holds at all times', 'grant handoff_relay to handoff_worker with inherit true'],
    ['the right to give its role away', 'grant handoff_codec to handoff_codec_server with admin option'],
    ['every tenant’s rows', 'grant handoff_across to handoff_codec'],
    ['a role of the server’s', 'grant pg_read_all_data to handoff_webhooks'],
    ['a table', 'grant select on session to handoff_codec_server'],
    ['a column', 'grant select (payload) on session_check to handoff_codec'],
    ['a function', 'grant execute on function look_at_media_objects() to public, handoff_worker'],
    ['the schema', 'grant create on schema public to handoff_worker'],
    ['a command that no operation has', 'grant delete on event to handoff_tenant'],
    ['a table for everybody', 'grant select on session to public'],
    ['a policy', 'create policy sneaky on session for select using (true)'],
    ['a policy that is gone', 'drop policy handoff_own on session'],
    ['policies that are lifted', 'alter table session disable row level security'],
    ['policies that the owner is free of', 'alter table session no force row level security'],
    [
      'a function that was changed',
      `create or replace function handoff_tenant() returns uuid language sql stable as 'select null::uuid'`,
    ],
    ['an ending that may be changed', 'drop trigger handoff_ended on share_token'],
  ])('is mended by a migration, whatever was given or taken by hand: %s', async (_what, statement) => {
    const admin = postgres.url('handoff');
    const state = async () => [await query(admin, STATE), (await policies()).length] as const;
    const before = await state();
    await query(admin, statement);
    expect(await state()).not.toEqual(before);
    // The owner could not take back what a superuser gave of other roles: it says so, and a superuser migrates.
    await Promise.all([1, 2].map(() => migrate(admin)));
    expect(await state()).toEqual(before);
  });

  it('does not migrate over a membership that the owner may not take back, and says what to run', async () => {
    const admin = postgres.url('handoff');
    await query(admin, 'grant pg_read_all_data to handoff_webhooks');
    await expect(migrate(urlOf('handoff'))).rejects.toThrow(
      /let a superuser run this, and migrate again:\nrevoke "?pg_read_all_data"? from "?handoff_webhooks"? granted by "?\w+"? cascade;$/,
    );
    await query(admin, 'revoke pg_read_all_data from handoff_webhooks');
    await migrate(urlOf('handoff'));
  });

  it('is migrated by one at a time, under a lock that no login can hold', async () => {
    for (const login of Object.keys(LOGINS)) {
      const locks = (LOGINS[login] ?? []).map(
        (operation) =>
          `begin; set local role handoff_${operation}; lock table schema_migration in share row exclusive mode`,
      );
      const found = await outcomes(urlOf(login), locks);
      expect(found).toEqual(locks.map(() => 'permission denied for table schema_migration'));
    }
  });
});

const policies = () => query(postgres.url('handoff'), `select oid::text from pg_policy order by 1`);

/** Whatever the listing decides, as text. */
const STATE = `
  select concat_ws(' ', 'member', member::regrole, roleid::regrole, inherit_option, set_option, admin_option) as line
  from pg_auth_members where member in (select oid from pg_roles where rolname like 'handoff\\_%') and member <> 'handoff'::regrole
  union all
  select concat_ws(' ', c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity, a.grantee, a.privilege_type)
  from pg_class c left join lateral aclexplode(c.relacl) a on true where c.relnamespace = 'public'::regnamespace
  union all
  select concat_ws(' ', attrelid::regclass, attname, a.grantee, a.privilege_type)
  from pg_attribute cross join lateral aclexplode(attacl) a where attrelid::regclass::text not like 'pg\\_%'
  union all
  select concat_ws(' ', tablename, policyname, roles, cmd, qual, with_check) from pg_policies
  union all
  select concat_ws(' ', p.oid::regprocedure, prosrc, a.grantee, a.privilege_type)
  from pg_proc p left join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a on true where pronamespace = 'public'::regnamespace
  union all
  select concat_ws(' ', 'schema', a.grantee, a.privilege_type)
  from pg_namespace cross join lateral aclexplode(nspacl) a where nspname = 'public'
  union all
  select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
  order by 1`;

it('says what a superuser has to run when the migrating role may not make roles', async () => {
  const admin = postgres.url('postgres');
  await query(admin, `create role plain login password '${password}'`);
  await query(admin, 'create database plain owner plain');
  const refused = await migrate(urlOf('plain', 'plain')).catch((error: unknown) => error as Error);
  if (!(refused instanceof Error)) throw new Error('it was migrated');
  expect(refused.message).toMatch(
    /let a superuser run this, and migrate again:\ngrant handoff_tenant to "plain" with inherit false/,
  );
  for (const statement of refused.message.split('\n').slice(1)) await query(admin, statement.replace(/;$/, ''));
  expect(await migrate(urlOf('plain', 'plain'))).toEqual([]);
  const tenants = createTenants({ databaseUrl: urlOf('plain', 'plain') });
  expect(await newBrand(tenants)).toMatchObject({ key: expect.stringContaining('_') as string });
  await tenants.close();
});

it('makes roles once, however many databases of a cluster are migrated at the same moment', async () => {
  const admin = postgres.url('postgres');
  for (const operation of Object.keys(ROLES)) {
    await query(postgres.url('handoff'), `drop owned by handoff_${operation} cascade`);
    await query(postgres.url('plain'), `drop owned by handoff_${operation} cascade`);
    await query(admin, `drop role handoff_${operation}`);
  }
  const names = ['one', 'two', 'three', 'four'];
  for (const name of names) await createDatabase(admin, name);
  await Promise.all(names.map((name) => migrate(postgres.url(name))));
  const grants = `select relname, relacl::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`;
  const [first, ...more] = await Promise.all(names.map((name) => query(postgres.url(name), grants)));
  for (const other of more) expect(other).toEqual(first);
});
