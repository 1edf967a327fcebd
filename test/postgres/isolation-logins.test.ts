import { createHash, randomBytes } from 'node:crypto';
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
import { runKeys } from '../../src/keys.ts';
import { LOGINS, ROLES } from '../../src/postgres/isolation/roles.ts';
import { TABLES, UNPOLICED } from '../../src/postgres/isolation/tables.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { testContentEnv } from '../support/app-parts.ts';
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
    const statements = [...tables.map((table) => `select from ${table}`), 'create table mine ()', 'create role mine'];
    const found = await outcomes(urlOf(login), statements);
    expect(found.filter((outcome) => !outcome.includes('permission denied'))).toEqual([]);
    expect(found).toHaveLength(tables.length + 2);
  });
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

it('keeps secrets where they are used', () => {
  const reach = (table: string, column: string) =>
    Object.keys(LOGINS).filter((login) =>
      (LOGINS[login] ?? []).some((operation) => {
        const grants: Readonly<Record<string, string>> = ROLES[operation].grants;
        const selected = /select(?: \(([^)]*)\))?/.exec(grants[table] ?? '');
        return selected !== null && (selected[1] === undefined || selected[1].split(', ').includes(column));
      }),
    );
  expect(reach('webhook_secret', 'sealed')).toEqual(['handoff_server', 'handoff_webhooks']);
  expect(reach('signing_key', 'sealed')).toEqual(['handoff_server', 'handoff_webhooks']);
  expect(reach('api_key', 'secret_sha256')).toEqual(['handoff_server']);
  expect(reach('ingest_secret', 'sealed')).toEqual(['handoff_server']);
  expect(reach('account', 'password_hash')).toEqual(['handoff_server']);
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

  it('is left alone by a migration that finds nothing new, and mended by one that does', async () => {
    const policies = () => query(postgres.url('handoff'), `select oid::text from pg_policy order by 1`);
    const before = await policies();
    expect(before.length).toBeGreaterThan(100);
    await migrate(urlOf('handoff'));
    expect(await policies()).toEqual(before);
    await query(
      postgres.url('handoff'),
      `comment on function handoff_tenant() is 'isolation of another build'; grant delete on event to handoff_tenant`,
    );
    await Promise.all([1, 2, 3].map(() => migrate(urlOf('handoff'))));
    expect(await policies()).toHaveLength(before.length);
    expect(await policies()).not.toEqual(before);
    await expect(server.withTenant(brands[0].id, (tx) => tx.query('delete from event'))).rejects.toThrow(
      /permission denied/,
    );
  });
});

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
