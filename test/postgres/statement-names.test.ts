import { afterAll, beforeAll, expect, test } from 'vitest';
import { createStatementNames } from '../../src/postgres/statement-names.ts';
import { createTenants, type Tenants, type Transaction } from '../../src/postgres/tenants.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
let tenants: Tenants;
beforeAll(() => {
  tenants = createTenants({ databaseUrl: database.url, maxConnections: 1 });
});
afterAll(() => tenants.close());

const APPLICATION = '00000000-0000-7000-8000-000000000001';
const statement = 'select $1::int + 1 as next';

const preparedOf = (tx: Transaction) =>
  tx.query<{ calls: number }>(
    `select (generic_plans + custom_plans)::int as calls from pg_prepared_statements where statement = '${statement}'`,
  );

test('what runs all the time is planned once by each connection; what a tenant asks for, each time', async () => {
  await tenants.withTenant(APPLICATION, (tx) => tx.query(statement, [1]));
  expect(await tenants.acrossTenants('relay', preparedOf)).toEqual([]);
  // Twice at once as well: the second goes out before the first is answered.
  for (let round = 0; round < 2; round += 1) {
    await tenants.acrossTenants('relay', (tx) => Promise.all([tx.query(statement, [1]), tx.query(statement, [2])]));
  }
  expect(await tenants.acrossTenants('relay', preparedOf)).toEqual([{ calls: 4 }]);
  // Its plan holds the rows that its role may see.
  await tenants.acrossTenants('delivery', (tx) => tx.query(statement, [1]));
  expect(await tenants.acrossTenants('relay', preparedOf)).toHaveLength(2);
});

test('what finds its rows by keys keeps to one plan, by indexes; a list of it is planned for its values', async () => {
  const settings = `select current_setting('plan_cache_mode') as plans, current_setting('enable_seqscan') as scans`;
  const [byKeys, list, others] = [
    await tenants.acrossTenants('onboarding', (tx) => tx.query(settings, [])),
    await tenants.acrossTenants('onboarding', (tx) => tx.query(settings, [], 'anew')),
    await tenants.acrossTenants('relay', (tx) => tx.query(settings, [])),
  ];
  expect(byKeys).toEqual([{ plans: 'force_generic_plan', scans: 'off' }]);
  expect(list).toEqual([{ plans: 'force_custom_plan', scans: 'on' }]);
  expect(others).toEqual([{ plans: 'auto', scans: 'on' }]);
});

test('a statement that is planned anew is not known again', async () => {
  const text = 'select $1::int + 2 as next';
  await tenants.acrossTenants('relay', (tx) => tx.query(text, [1], 'anew'));
  const known = await tenants.acrossTenants('relay', (tx) =>
    tx.query(`select 1 from pg_prepared_statements where statement = '${text}'`),
  );
  expect(known).toEqual([]);
});

test('the statement that failed is the reason, not those behind it that nobody knows then', async () => {
  const behind = 'select $1::int + 3 as next';
  const failing = tenants.acrossTenants('relay', async (tx) => {
    tx.send('select 1 / $1::int', [0]);
    tx.send(behind, [1]);
    await tx.query(behind, [2]);
  });
  await expect(failing).rejects.toMatchObject({ code: '22012' });
  expect(await tenants.acrossTenants('relay', (tx) => tx.query(behind, [2]))).toEqual([{ next: 5 }]);
});

test('names are few, whatever is sent', () => {
  const nameOf = createStatementNames();
  const names = Array.from({ length: 1_000 }, (_, index) => nameOf('relay', `select ${index}`));
  expect(new Set(names).size).toBe(501);
  expect(names.at(-1)).toBeUndefined();
  expect(nameOf('relay', 'select 0')).toBe(names[0]);
  expect(nameOf('tenant', 'select 0')).toBeUndefined();
});
