import { afterAll, beforeAll, expect, it } from 'vitest';
import { addBrands, type BenchBrand } from '../../bench/brands.ts';
import { fillSessions } from '../../bench/growth/fill.ts';
import { smallDocument } from '../../bench/growth/small-document.ts';
import { readDecision } from '../../src/domain/decision-intake.ts';
import { handoffTenants, type HandoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { listSessions } from '../../src/postgres/session-list.ts';
import { createTenants, type Tenants } from '../../src/postgres/tenants.ts';
import { decisionOf } from '../../src/sharing/decision.ts';
import { takeInSession } from '../../src/sharing/take-in.ts';
import { testBlindIndex, testSealer } from '../support/app-parts.ts';
import { testDatabase } from '../support/database.ts';

const database = testDatabase();
let tenants: Tenants;
let handoff: HandoffTenants;
let brand: BenchBrand;

beforeAll(async () => {
  tenants = createTenants({ databaseUrl: database.url });
  handoff = handoffTenants(tenants, testSealer, testBlindIndex);
  const [made] = await addBrands(database.url, 1);
  if (made === undefined) throw new Error('a brand was made');
  brand = made;
  for (const name of ['one', 'two', 'three']) await takeIn(name);
});
afterAll(() => tenants.close());

async function takeIn(name: string): Promise<void> {
  const content = readDecision(smallDocument(name));
  if (!content.ok) throw new Error(JSON.stringify(content.problems));
  await handoff.withTenant(brand.id, (tx) => takeInSession(tx, brand.id, content, { kind: 'system', id: null }));
}

it('fills an application with sessions that are read, listed and followed like those that it took in', async () => {
  await fillSessions(database.pool, brand.id, 500);

  const page = await handoff.withTenant(brand.id, (_tx, sql) =>
    listSessions(sql, brand.id, { kinds: ['user'] }, { limit: 50, offset: 0 }),
  );
  expect(page.count).toBe(500);
  expect(page.rows.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, at) => 500 - at));
  const [newest] = page.rows;
  const stored = await handoff.withTenant(brand.id, (tx) =>
    tx.sessions.readDecision(brand.id, newest?.sessionId ?? ''),
  );
  if (stored === null) throw new Error('the newest session is there');
  const decision = decisionOf(stored, testSealer, { businessStatusCase: 'upper' });
  expect(decision).toMatchObject({ session_number: 500, vendor_data: 'copy-customer-500', status: 'Approved' });
  expect(decision['id_verifications']).toEqual([expect.objectContaining({ status: 'Approved' })]);

  const { rows } = await database.pool.query(
    `select count(distinct s.session_id)::int as ids, count(distinct s.vendor_data)::int as customers,
       count(distinct k.session_id)::int as keys, count(distinct e.entity_id)::int as entities,
       count(distinct v.event_id)::int as events
     from session s join session_key k using (session_id)
     join entity e on e.application_id = s.application_id and e.vendor_data = s.vendor_data
     join event v on v.session_id = s.session_id and v.subject_id = s.session_id`,
  );
  expect(rows).toEqual([{ ids: 500, customers: 500, keys: 500, entities: 500, events: 500 }]);
  const inOrder = await database.pool.query(
    `select count(*)::int as wrong from (
       select session_id, lag(session_id) over (order by created_at) as before from session
       where external_id like 'copy-%') s where session_id <= before`,
  );
  expect(inOrder.rows).toEqual([{ wrong: 0 }]);

  // The next number is the next one.
  await takeIn('four');
  const after = await database.pool.query(`select max(session_number)::int as last from session`);
  expect(after.rows).toEqual([{ last: 501 }]);
});

it('refuses to fill an application that has nothing to copy', async () => {
  const [empty] = await addBrands(database.url, 1);
  await expect(fillSessions(database.pool, empty?.id ?? '', 10)).rejects.toThrow('0 sessions');
});
