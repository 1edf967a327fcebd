import { Client } from 'pg';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { resetClock, shiftClock, testDatabase } from './database.ts';

const database = testDatabase();
afterEach(() => resetClock(database.pool));

/** How far the rules' clock is ahead of the real one, in whole minutes. */
async function minutesAhead(): Promise<number> {
  const { rows } = await database.pool.query<{ minutes: number }>(
    'select round(extract(epoch from handoff_now() - clock_timestamp()) / 60)::int as minutes',
  );
  return rows[0]?.minutes ?? Number.NaN;
}

test('the clock of the rules is real until it is shifted, and shifts add up', async () => {
  expect(await minutesAhead()).toBe(0);
  await shiftClock(database.pool, '2 hours');
  await shiftClock(database.pool, '-30 minutes');
  expect(await minutesAhead()).toBe(90);
  await resetClock(database.pool);
  expect(await minutesAhead()).toBe(0);
});

test('the clock moves within one transaction, so that a rule sees the time after its lock', async () => {
  const { rows } = await database.pool.query<{ moved: boolean }>(
    'with first as materialized (select handoff_now() as at), pause as materialized (select pg_sleep(0.01) from first) ' +
      'select handoff_now() > first.at as moved from first, pause',
  );
  expect(rows).toEqual([{ moved: true }]);
});

describe('a second database', () => {
  const other = testDatabase();

  test('shares neither data nor clock with the first', async () => {
    await shiftClock(other.pool, '1 day');
    expect(await minutesAhead()).toBe(0);
    expect(other.url).not.toBe(database.url);
  });

  test('is a copy of the migrated template', async () => {
    const admin = new Client({ connectionString: inject('postgresAdminUrl') });
    await admin.connect();
    const { rows } = await admin.query('select count(*)::int as found from pg_database where datname = $1', [
      new URL(other.url).pathname.slice(1),
    ]);
    await admin.end();
    expect(rows).toEqual([{ found: 1 }]);
    const migrated = await other.pool.query(`select to_regclass('application') is not null as found`);
    expect(migrated.rows).toEqual([{ found: true }]);
  });
});
