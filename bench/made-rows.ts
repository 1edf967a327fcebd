import type { Pool } from 'pg';

/**
 * Runs `work` and compares what it left in a table with what it should have made.
 *
 * @throws Error when it made more or fewer rows: its time then says nothing
 */
export async function makingRows<T>(pool: Pool, table: string, count: number, work: () => Promise<T>): Promise<T> {
  const before = await rowsOf(pool, table);
  const result = await work();
  const made = (await rowsOf(pool, table)) - before;
  if (made !== count) throw new Error(`${made} rows in ${table} instead of ${count}`);
  return result;
}

export async function rowsOf(pool: Pool, table: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(`select count(*)::float8 as count from ${table}`);
  return rows[0]?.count ?? 0;
}
