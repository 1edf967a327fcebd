import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deleteEntities, entityStore, insertEntity } from '../../src/postgres/entities.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { changeEntity } from '../../src/sharing/change-entity.ts';
import type { EntityStatus } from '../../src/domain/entity.ts';
import {
  businessDocument,
  deadlocksOf,
  refusalOf,
  shareLab,
  userDocument,
  verbs,
  type LabBrand,
} from '../support/share-lab.ts';
import { testSealer } from '../support/app-parts.ts';

const lab = shareLab();
let other: PoolClient;
// A pool of its own, so that closing it makes its sessions report what they met.
let tenants: Tenants;
let racing: ReturnType<typeof verbs>;
beforeAll(async () => {
  other = await lab.database.pool.connect();
  tenants = createTenants({ databaseUrl: lab.database.url, maxConnections: 24 });
  racing = verbs(tenants, lab);
});
afterAll(async () => {
  other.release();
  await tenants.close();
  expect(await deadlocksOf(lab.database.url)).toBe(0);
});

const mark = (of: LabBrand, name: string, status: EntityStatus) =>
  racing.handoff.withTenant(of.id, (tx, sql) => {
    const key = { applicationId: of.id, kind: 'user', name } as const;
    return changeEntity(tx, entityStore(sql, testSealer), key, { status }, { kind: 'system', id: null });
  });

/** Waits until so many transactions wait for a lock. */
async function waiting(count: number): Promise<void> {
  for (;;) {
    const rows = await lab.rows(
      `select 1 from pg_stat_activity
       where datname = current_database() and application_name = 'handoff' and wait_event_type = 'Lock'`,
    );
    if (rows.length >= count) return;
  }
}

it('20 imports into one vendor_data at once all succeed, and make one entity', async () => {
  const to = await lab.newBrand();
  const tokens: string[] = [];
  for (let n = 0; n < 20; n += 1) tokens.push((await lab.mint(await lab.takeIn(userDocument()), { to })).tokenId);
  const imports = await Promise.all(tokens.map((tokenId) => racing.redeem(tokenId, { vendorData: 'same' }, to)));
  expect(new Set(imports.map(({ sessionId }) => sessionId)).size).toBe(20);
  const [row] = await lab.rows(
    `select count(*)::int as entities, bool_and(e.last_session_at = (select max(created_at) from session s
       where s.application_id = e.application_id)) as timely from entity e where application_id = $1`,
    [to.id],
  );
  expect(row).toEqual({ entities: 1, timely: true });
});

it('businesses whose people are the same, in any order, never meet in a deadlock', async () => {
  const [from, to] = [await lab.newBrand(), await lab.newBrand()];
  await lab.connect(from, to, { vendorDataRule: 'same', acceptance: 'automatic' });
  const names = Array.from({ length: 6 }, (_, n) => `officer-${n}`);
  const tokens: string[] = [];
  const sessions: string[] = [];
  for (let n = 0; n < 6; n += 1) {
    const people: string[] = [];
    const order = [...names.slice(n), ...names.slice(0, n)];
    for (const vendorData of order) people.push(await lab.takeIn(userDocument({ vendor_data: vendorData }), from));
    tokens.push(
      await lab.start(await lab.takeIn(businessDocument(people, { vendor_data: 'one' }), from), { from, to }),
    );
    sessions.push(...people);
  }
  const removals = sessions.slice(0, 12).map((sessionId) => racing.remove(from, sessionId).catch(() => null));
  const answers = await Promise.all([...tokens.map((tokenId) => racing.runImport(tokenId)), ...removals]);
  expect(answers.slice(0, tokens.length)).toEqual(tokens.map(() => expect.objectContaining({ state: 'redeemed' })));
  const entities = await lab.rows<{ name: string }>(
    'select vendor_data as name from entity where application_id = $1 order by session_kind, vendor_data',
    [to.id],
  );
  expect(entities.map(({ name }) => name)).toEqual(['one', ...names]);
  // All that were imported go again, while everything of theirs is blocked and deleted.
  const imported = await lab.rows<{ id: string }>(
    'select session_id as id from session where application_id = $1 and parent_import is null',
    [to.id],
  );
  await Promise.all([
    ...imported.map(({ id }) => racing.remove(to, id)),
    ...names.map((name) => mark(to, name, 'BLOCKED').catch(() => null)),
    tenants.withTenant(to.id, (sql) => deleteEntities(sql, to.id, 'user', { by: 'all' }, 1000)),
  ]);
  const left = await lab.rows('select 1 from entity where application_id = $1 and last_session_at is not null', [
    to.id,
  ]);
  expect(left).toEqual([]);
});

it('a block that comes during an import waits for it, and the next import sees it', async () => {
  const to = await lab.newBrand();
  const [first, second] = [
    await lab.mint(await lab.takeIn(userDocument()), { to }),
    await lab.mint(await lab.takeIn(userDocument()), { to }),
  ];
  await lab.redeem((await lab.mint(await lab.takeIn(userDocument()), { to })).tokenId, { vendorData: 'contested' }, to);
  // The counter is the last lock of an import: held, it keeps the import open with its entity locked.
  await other.query(`begin; select 1 from session_counter where application_id = '${to.id}' for update`);
  const importing = racing.redeem(first.tokenId, { vendorData: 'contested' }, to);
  await waiting(1);
  const blocking = mark(to, 'contested', 'BLOCKED');
  await waiting(2);
  await other.query('rollback');
  await expect(importing).resolves.toHaveProperty('sessionId');
  await blocking;
  const refusal = await refusalOf(racing.redeem(second.tokenId, { vendorData: 'contested' }, to));
  expect(refusal).toMatchObject({ code: 'entity_blocked', field: 'vendor_data' });
});

it('an import that comes during a block waits for it', async () => {
  const to = await lab.newBrand();
  for (const end of ['commit', 'rollback']) {
    const name = `contested-${end}`;
    await lab.rows(
      `insert into entity (entity_id, application_id, session_kind, vendor_data) values ($1, $2, 'user', $3)`,
      [randomUUID(), to.id, name],
    );
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()), { to });
    await other.query(
      `begin; update entity set status = 'BLOCKED' where application_id = '${to.id}' and vendor_data = '${name}'`,
    );
    const importing = racing.redeem(tokenId, { vendorData: name }, to);
    const outcome = importing.then(
      () => 'imported',
      (error: unknown) => (error as { code?: unknown }).code,
    );
    await waiting(1);
    await other.query(end);
    expect(await outcome).toBe(end === 'commit' ? 'entity_blocked' : 'imported');
  }
});

it('of a creation and an import of one vendor_data both stand, whoever is first', async () => {
  const to = await lab.newBrand();
  const state = { status: 'ACTIVE', profile: {}, metadata: {} } as const;
  const made: boolean[] = [];
  for (let n = 0; n < 15; n += 1) {
    const vendorData = `contested-${n}`;
    const { tokenId } = await lab.mint(await lab.takeIn(userDocument()), { to });
    const [created] = await Promise.all([
      tenants.withTenant(to.id, (sql) =>
        insertEntity(sql, testSealer, { applicationId: to.id, kind: 'user', vendorData }, state),
      ),
      racing.redeem(tokenId, { vendorData }, to),
    ]);
    made.push(created !== null);
  }
  const rows = await lab.rows(
    `select 1 from entity e where application_id = $1 and last_session_at = (select max(created_at) from session s
       where s.application_id = e.application_id and s.vendor_data = e.vendor_data)`,
    [to.id],
  );
  expect(rows).toHaveLength(made.length);
});

it('a blocked entity that many imports find at once refuses them all and changes nothing', async () => {
  const to = await lab.newBrand();
  const tokens: string[] = [];
  for (let n = 0; n < 5; n += 1) tokens.push((await lab.mint(await lab.takeIn(userDocument()), { to })).tokenId);
  await lab.rows(
    `insert into entity (entity_id, application_id, session_kind, vendor_data, status)
     values ($1, $2, 'user', 'barred', 'BLOCKED')`,
    [randomUUID(), to.id],
  );
  const before = await lab.counts();
  const refusals = await Promise.all(
    tokens.map((tokenId) => refusalOf(racing.redeem(tokenId, { vendorData: 'barred' }, to))),
  );
  expect(refusals.map(({ code }) => code)).toEqual(tokens.map(() => 'entity_blocked'));
  expect(await lab.counts()).toEqual(before);
  const times = await lab.rows('select last_session_at as at from entity where application_id = $1', [to.id]);
  expect(times).toEqual([{ at: null }]);
});
