import { Client, type Pool } from 'pg';

/** Replaces the database's clock by one that tests can shift. Production's is `select clock_timestamp()`. */
export async function installTestClock(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`
      create table test_clock (shift interval not null);
      insert into test_clock values ('0');
      grant select on test_clock to public;
      create or replace function handoff_now() returns timestamptz language sql volatile
        as 'select clock_timestamp() + (select shift from public.test_clock)';
    `);
  } finally {
    await client.end();
  }
}

/** Moves the database's clock on by an interval ("2 hours", "-5 seconds"), on top of earlier shifts. */
export async function shiftClock(pool: Pool, by: string): Promise<void> {
  await pool.query('update test_clock set shift = shift + $1::interval', [by]);
}

/** Sets the database's clock to the real time again. */
export async function resetClock(pool: Pool): Promise<void> {
  await pool.query(`update test_clock set shift = '0'`);
}
